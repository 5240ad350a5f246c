-- Rules for who may work on which node, and tokens. What is taken back stays, so that one can read who had what.
create table grants (
  id text primary key, subject text not null, nodes text not null, partitions text not null, from_at integer, until_at integer,
  source text, granted_by text not null, granted_at integer not null, revoked_at integer, revoked_by text
);
create index grants_in_force on grants (subject) where revoked_at is null;
create table tokens (
  id text primary key, owner text not null, role text not null, hash text not null unique, note text not null,
  created_by text not null, created_at integer not null, expires_at integer not null, used_at integer, revoked_at integer, revoked_by text
);
