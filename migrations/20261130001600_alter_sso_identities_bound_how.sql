-- Two more ways in which an identity is bound: `account`, by the user, who links it, and `owner`, by an owner. The previous version of
-- muster reads them as text, and every row that satisfies the old constraint satisfies the new one.
-- Locks the table for a moment; the next migration validates the constraint without a lock that others notice. Behind a long-running
-- reader (a dump), other statements would have to wait as well, so it gives up after two seconds and can be repeated.
set local lock_timeout = '2s';
alter table sso_identities drop constraint sso_identities_bound_how_known;
alter table sso_identities add constraint sso_identities_bound_how_known
    check (bound_how in ('address', 'created', 'account', 'owner', 'operator')) not valid;
