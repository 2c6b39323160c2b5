-- Run once, on an empty data directory: the services' users, neither of them a superuser.
-- The journal owns the database; the bank has a schema of its own and sees nothing else.
\set journal_password `cat /run/secrets/journal_password`
\set bank_password `cat /run/secrets/bank_password`

CREATE ROLE baton LOGIN PASSWORD :'journal_password';
CREATE ROLE bank LOGIN PASSWORD :'bank_password';
ALTER DATABASE baton OWNER TO baton;
CREATE SCHEMA bank AUTHORIZATION bank;
