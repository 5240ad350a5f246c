using System.Collections.Immutable;
using Dapper;

namespace Ka.Store;

/// <summary>Why and by whom something is out of use.</summary>
public sealed record OutOfUse(string Reason, string By, DateTimeOffset At);

/// <summary>What must not be touched: drained nodes, and, when everything is stopped, all of them. Survives a restart.</summary>
public sealed class OutOfUseTable(Database database)
{
    /// <summary>Takes nodes out of use; the reason of one that is already out is replaced.</summary>
    public void Drain(IEnumerable<string> nodes, OutOfUse why) => database.Write((c, t) => c.Execute(
        "insert into drains (node, reason, by, at) values (@node, @Reason, @By, @at) on conflict (node) do update set reason = excluded.reason, by = excluded.by, at = excluded.at",
        nodes.Select(node => new { node, why.Reason, why.By, at = why.At.ToUnixTimeMilliseconds() }), t));

    /// <summary>Those of the nodes that were out of use.</summary>
    public ImmutableArray<string> Undrain(IEnumerable<string> nodes) => database.Write((c, t) =>
        nodes.Where(node => c.Execute("delete from drains where node = @node", new { node }, t) > 0).ToImmutableArray());

    public ImmutableDictionary<string, OutOfUse> Drained() => database.Read(c =>
        c.Query<(string Node, string Reason, string By, long At)>("select node, reason, by, at from drains")
            .ToImmutableDictionary(r => r.Node, r => new OutOfUse(r.Reason, r.By, DateTimeOffset.FromUnixTimeMilliseconds(r.At)), StringComparer.Ordinal));

    public void Stop(OutOfUse why) => database.Write((c, t) => c.Execute(
        "insert into stops (id, reason, by, at) values (1, @Reason, @By, @at) on conflict (id) do nothing", new { why.Reason, why.By, at = why.At.ToUnixTimeMilliseconds() }, t));

    public void Release() => database.Write((c, t) => c.Execute("delete from stops", transaction: t));

    /// <summary>Null when all goes on.</summary>
    public OutOfUse? Stopped() => database.Read(c =>
        c.Query<(string Reason, string By, long At)>("select reason, by, at from stops").Select(r => new OutOfUse(r.Reason, r.By, DateTimeOffset.FromUnixTimeMilliseconds(r.At))).SingleOrDefault());
}
