-- Answers to requests that came with an idempotency key, kept a day; without a status the request was not carried out to its end yet.
create table answers (
  owner text not null, key text not null, request text not null, suffix text not null, at integer not null, status integer, body text,
  primary key (owner, key)
);
create index answers_by_time on answers (at);
create index workflows_by_time on workflows (created_at desc, id);
