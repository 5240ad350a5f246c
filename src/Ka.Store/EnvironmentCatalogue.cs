using System.Collections.Immutable;
using System.Text.Json;
using Dapper;
using Ka.Core.Environments;

namespace Ka.Store;

/// <summary>Registered environments, by name and version. What is registered never changes.</summary>
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

    /// <param name="version">Null for the highest.</param>
    public OsEnvironment? Find(string name, int? version) => database.Read(c =>
        Rows(c, "where name = @name and (@version is null or version = @version) order by version desc limit 1", new { name, version }).SingleOrDefault());

    public ImmutableArray<OsEnvironment> All() => database.Read(c => Rows(c, "order by name, version desc", new { }).ToImmutableArray());

    public bool Remove(string name, int version) => database.Write((c, t) =>
        c.Execute("delete from environments where name = @name and version = @version", new { name, version }, t) == 1);

    static IEnumerable<OsEnvironment> Rows(Microsoft.Data.Sqlite.SqliteConnection c, string where, object parameters) =>
        c.Query<string>($"select document from environments {where}", parameters).Select(d => JsonSerializer.Deserialize<OsEnvironment>(d, StoreJson.Options)!);
}
