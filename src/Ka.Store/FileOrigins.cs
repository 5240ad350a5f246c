using System.Collections.Immutable;
using Dapper;

namespace Ka.Store;

/// <summary>Who has brought which file of the store, and from where the server fetched it.</summary>
public sealed class FileOrigins(Database database)
{
    /// <param name="address">From where the server fetched it; null when the owner has sent it.</param>
    public void Add(string sha256, string owner, string? address, DateTimeOffset now) => database.Write((c, t) => c.Execute(
        "insert into file_origins (sha256, owner, address, at) values (@sha256, @owner, @address, @at) on conflict do update set address = excluded.address, at = excluded.at",
        new { sha256, owner, address, at = now.ToUnixTimeMilliseconds() }, t));

    /// <summary>Whether somebody has had all bytes of the file, or an address that gives them.</summary>
    public bool Brought(string sha256, string owner) => database.Read(c =>
        c.ExecuteScalar<long>("select count(*) from file_origins where sha256 = @sha256 and owner = @owner", new { sha256, owner }) > 0);

    /// <summary>Files that can be fetched again.</summary>
    public ImmutableHashSet<string> Fetched() => database.Read(c => c.Query<string>("select sha256 from file_origins where address is not null").ToImmutableHashSet(StringComparer.Ordinal));

    /// <summary>Forgets the files that are no longer in the store.</summary>
    public void Forget(IEnumerable<string> gone) => database.Write((c, t) => c.Execute("delete from file_origins where sha256 = @sha256", gone.Select(sha256 => new { sha256 }), t));
}
