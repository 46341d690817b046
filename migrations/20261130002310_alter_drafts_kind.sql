-- A draft can be a list of changes, too. Waits for other transactions for two seconds at most; the check reads a small table.
set local lock_timeout = '2s';
alter table drafts drop constraint drafts_kind_known;
alter table drafts add constraint drafts_kind_known check (kind in ('import', 'people', 'changes', 'done'));
