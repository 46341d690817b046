-- A user's password, hashed. A user without a row here has no password, and no
-- password matches: SSO users, and users whose password has not been set yet.
create table passwords (
    organization_id uuid        not null,
    user_id         uuid        not null,
    -- The hash with its parameters and salt, as a PHC string (argon2id).
    phc             text        collate "C" not null,
    -- Set by somebody else: the user has to choose another at the next sign-in.
    must_change     boolean     not null,
    set_at          timestamptz not null,

    constraint passwords_pkey primary key (organization_id, user_id),
    constraint passwords_user_fkey foreign key (organization_id, user_id)
        references users (organization_id, user_id) on delete cascade,
    -- Plaintext can't get in here by mistake.
    constraint passwords_phc_is_hash check (phc like '$argon2%')
);
