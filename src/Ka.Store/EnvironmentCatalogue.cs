using System.Collections.Immutable;
using System.Text.Json;
using Dapper;
using Ka.Core.Environments;

namespace Ka.Store;

/// <summary>Registered environments, by name and version.</summary>
public sealed class EnvironmentCatalogue(Database database)
{
    /// <summary>Adds one. False, with nothing changed, when name and version exist already.</summary>
    public bool Add(OsEnvironment environment) => database.Write((c, t) => c.Execute(
        "insert into environments (name, version, owner, document, registered_at) values (@Name, @Version, @Owner, @document, @at) on conflict do nothing",
        new
        {
            environment.Name,
            environment.Version,
            environment.Owner,
            document = JsonSerializer.Serialize(environment, StoreJson.Options),
            at = environment.RegisteredAt.ToUnixTimeMilliseconds(),
        },
        t) == 1);

    /// <summary>Writes what is said of a registered one anew. False when it is no longer there.</summary>
    public bool Replace(OsEnvironment environment) => database.Write((c, t) => c.Execute(
        "update environments set document = @document where name = @Name and version = @Version",
        new { environment.Name, environment.Version, document = JsonSerializer.Serialize(environment, StoreJson.Options) }, t) == 1);

    /// <param name="version">Null for the highest.</param>
    public OsEnvironment? Find(string name, int? version) => database.Read(c =>
        Rows(c, "where name = @name and (@version is null or version = @version) order by version desc limit 1", new { name, version }).SingleOrDefault());

    public ImmutableArray<OsEnvironment> All() => database.Read(c => Rows(c, "order by name, version desc", new { }).ToImmutableArray());

    /// <summary>Everything that is registered, as it is stored.</summary>
    public ImmutableArray<string> Documents() => database.Read(c => c.Query<string>("select document from environments").ToImmutableArray());

    public bool Remove(string name, int version) => database.Write((c, t) =>
        c.Execute("delete from environments where name = @name and version = @version", new { name, version }, t) == 1);

    static IEnumerable<OsEnvironment> Rows(Microsoft.Data.Sqlite.SqliteConnection c, string where, object parameters) =>
        c.Query<string>($"select document from environments {where}", parameters).Select(d => JsonSerializer.Deserialize<OsEnvironment>(d, StoreJson.Options)!);
}
