-- The site's role and database, once: psql -h <HAProxy> -p 5000 -U postgres -f site.sql
-- The names and the password come from the environment (web.env): psql 14 and later.
\getenv name SITE_DATABASE
\getenv user SITE_USER
\getenv password SITE_PASSWORD
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'user', :'password') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'user') \gexec
