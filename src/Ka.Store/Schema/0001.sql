-- Times are milliseconds since 1970-01-01 UTC, documents are JSON text, keys are made by the application.
create table environments (
  name text not null, version integer not null, owner text not null, document text not null, registered_at integer not null,
  primary key (name, version)
);
create table workflows (
  id text primary key, kind text not null, owner text not null, state text not null, fence integer not null,
  document text not null, created_at integer not null, ended_at integer
);
create table journal (
  workflow text not null references workflows (id), seq integer not null, at integer not null, event text not null,
  primary key (workflow, seq)
);
create table leases (
  node text primary key, workflow text not null references workflows (id), fence integer not null
);
create table fences (id integer primary key check (id = 1), last integer not null);
insert into fences (id, last) values (1, 0);
create table facts (
  workflow text not null, node text not null, key text not null, value text not null,
  primary key (workflow, node, key)
);
create table node_states (
  node text primary key, state text not null, environment text, workflow text, fault text, at integer not null
);
create table inventories (node text primary key, document text not null, at integer not null);
create index workflows_running on workflows (state) where state = 'Running';
create table logs (
  id integer primary key, workflow text not null, node text not null, at integer not null, step text not null, text text not null
);
create index logs_by_workflow on logs (workflow, node, id);
