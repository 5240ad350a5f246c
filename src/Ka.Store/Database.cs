using System.Reflection;
using Dapper;
using Microsoft.Data.Sqlite;

namespace Ka.Store;

/// <summary>
/// The SQLite file of one server: opened with write-ahead log and <c>synchronous=FULL</c>, so that an acknowledged row survives a
/// power cut. One connection, one lock: statements take microseconds, and there is nothing to wait for inside.
/// </summary>
public sealed class Database : IDisposable
{
    readonly SqliteConnection _connection;
    readonly Lock _gate = new();

    /// <exception cref="SqliteException">The file cannot be opened.</exception>
    /// <exception cref="InvalidOperationException">Its schema is newer than this program.</exception>
    public Database(string path)
    {
        _connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false }.ToString());
        try
        {
            _connection.Open();
            _connection.Execute("pragma journal_mode=wal; pragma synchronous=full; pragma foreign_keys=on; pragma busy_timeout=5000;");
            Migrate();
        }
        catch
        {
            _connection.Dispose();
            throw;
        }
    }

    /// <summary>Runs one transaction. All writes of the server go through here.</summary>
    public T Write<T>(Func<SqliteConnection, SqliteTransaction, T> work)
    {
        lock (_gate)
        {
            using var transaction = _connection.BeginTransaction();
            var result = work(_connection, transaction);
            transaction.Commit();
            return result;
        }
    }

    public void Write(Action<SqliteConnection, SqliteTransaction> work) => Write((c, t) =>
    {
        work(c, t);
        return 0;
    });

    public T Read<T>(Func<SqliteConnection, T> work)
    {
        lock (_gate)
            return work(_connection);
    }

    /// <summary>Applies the numbered SQL files that this database has not seen.</summary>
    void Migrate()
    {
        var scripts = typeof(Database).Assembly.GetManifestResourceNames().Where(n => n.EndsWith(".sql", StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToArray();
        Write((c, t) =>
        {
            var done = c.ExecuteScalar<long>("pragma user_version", transaction: t);
            if (done > scripts.Length)
                throw new InvalidOperationException($"the database has schema {done}, this program knows {scripts.Length}: it was written by a newer version");
            for (var i = done; i < scripts.Length; i++)
                c.Execute(ReadScript(scripts[i]), transaction: t);
            c.Execute($"pragma user_version={scripts.Length}", transaction: t);
        });
    }

    static string ReadScript(string name)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    public void Dispose()
    {
        lock (_gate)
            _connection.Dispose();
    }
}
