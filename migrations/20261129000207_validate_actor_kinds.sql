-- Validates the constraints of the migrations before. Reads each table once, and blocks neither readers nor writers
-- (`share update exclusive`).
alter table batches validate constraint batches_requested_by_whole;
alter table collaborators validate constraint collaborators_granted_by_whole;
alter table invitations validate constraint invitations_invited_by_whole;
alter table api_keys validate constraint api_keys_created_by_whole;
alter table login_approvals validate constraint login_approvals_approved_by_whole;
alter table audit_events validate constraint audit_events_actor_whole;
