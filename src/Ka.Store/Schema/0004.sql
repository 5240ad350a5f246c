-- How each node fared in each ended workflow: a fold of the journal, written with the workflow's end and made again where it is missing.
create table runs (
  workflow text not null references workflows (id), node text not null, kind text not null, cluster text not null, owner text not null, environment text not null,
  started_at integer not null, ended_at integer not null, code text, macro text, step text, failures integer not null, macro1 integer, macro2 integer, macro3 integer,
  primary key (workflow, node)
);
create index runs_by_node on runs (node, started_at);
create index runs_by_time on runs (started_at);
-- Nodes that are taken out of use, and by whom.
create table drains (node text primary key, reason text not null, by text not null, at integer not null);
-- At most one row: everything that changes nodes is stopped.
create table stops (id integer primary key check (id = 1), reason text not null, by text not null, at integer not null);
