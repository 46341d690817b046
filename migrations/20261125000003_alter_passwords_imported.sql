-- Hashes that other systems made can be brought along: PHC strings of argon2, scrypt and PBKDF2, and
-- bcrypt in its own form. Checks all rows, under a lock: about a second for a million passwords.
alter table passwords
    drop constraint passwords_phc_is_hash,
    -- Plaintext can't get in here by mistake.
    add constraint passwords_phc_is_hash check (
        phc like '$argon2%' or phc like '$2_$%' or phc like '$scrypt$%' or phc like '$pbkdf2-sha%'
    );
