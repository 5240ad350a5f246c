-- What the issuer of single sign-on said of somebody: the groups of the token issued last, and until when its word counts.
create table sign_ins (name text primary key, member_of text not null, issued_at integer not null, counts_until integer not null);
