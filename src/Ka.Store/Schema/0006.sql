-- Who has brought a file of the store: sent all of its bytes, or had the server fetch it from an address, from where it can be had again.
create table file_origins (
  sha256 text not null, owner text not null, address text, at integer not null,
  primary key (sha256, owner)
);
