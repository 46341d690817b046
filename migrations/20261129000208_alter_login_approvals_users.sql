-- Approvals of device logins no longer refer to users. A one-time password is approved once, in one organization of
-- all, which takes a unique constraint without `organization_id` (`login_approvals_otp_key`). On a database that is
-- distributed by organization, only a reference table can have one, and a reference table can't refer to a distributed
-- table. So muster deletes the approvals of a deleted user explicitly.
-- The previous version relies on the foreign key for that: the approvals of a user that it deletes stay until they
-- expire, after ten minutes. Nothing can be fetched with them, since an API key still refers to its user.
-- Locks `users`, to which the constraint refers, and then `login_approvals` for a moment, in the order in which deleting a
-- user locks them. Behind a long-running reader of `users` (a dump), other statements have to wait as well, so it gives
-- up after two seconds and can be repeated.
set local lock_timeout = '2s';
lock table users in access exclusive mode;
alter table login_approvals drop constraint login_approvals_user_fkey;
