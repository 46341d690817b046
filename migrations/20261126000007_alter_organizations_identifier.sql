-- The local operator names an organization by its identifier.
alter table organizations
    add constraint organizations_public_identifier_key unique (public_identifier);
