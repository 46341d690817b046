-- Beside a link that an administrator gave, a user can have one that was asked for: everybody can ask, which must not revoke the other one.
-- Locks the table against writes while the index is built: it has one open link for each user at most, and is small. Gives up after two
-- seconds behind a long-running transaction; it can be repeated.
set local lock_timeout = '2s';
drop index password_links_open;
create unique index password_links_open on password_links (user_id, organization_id, (purpose = 'reset'))
    where used_at is null and revoked_at is null;
