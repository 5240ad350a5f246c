-- What a node boots from the network when no workflow owns it; without a row it boots its local disk.
create table boot_profiles (
  node text primary key, workflow text not null references workflows (id), kernel text not null, initrd text, params text not null
);
