using System.Collections.Immutable;
using Dapper;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Microsoft.Data.Sqlite;

namespace Ka.Store;

/// <summary>The rules for who may work on which node. Kept for reading when they have ended.</summary>
public sealed class GrantTable(Database database)
{
    const string Columns = "id, subject, nodes, partitions, from_at, until_at, source, granted_by, granted_at, revoked_at, revoked_by";

    sealed record Row(
        string Id, string Subject, string Nodes, string Partitions, long? FromAt, long? UntilAt, string? Source, string GrantedBy, long GrantedAt, long? RevokedAt, string? RevokedBy);

    /// <summary>Adds a rule. With <paramref name="alone"/>, nothing changes when another user has a rule on any of its nodes in its time, and these are returned.</summary>
    public ImmutableArray<Grant> Add(Grant grant, Predicate<Grant>? alone = null) => database.Write((c, t) =>
    {
        var others = alone is null ? [] : Rows(c, "where revoked_at is null order by granted_at, id", t).Where(g => alone(g)).ToImmutableArray();
        if (!others.IsEmpty)
            return others;
        Insert(c, t, grant);
        return ImmutableArray<Grant>.Empty;
    });

    /// <summary>Rules that were not taken back, the oldest first; with <paramref name="ended"/> all that ever were.</summary>
    public ImmutableArray<Grant> All(bool ended = false) => database.Read(c =>
        Rows(c, (ended ? "" : "where revoked_at is null ") + "order by granted_at, id").ToImmutableArray());

    /// <summary>Takes rules back in one transaction; the remainder is what stays of one, under a new id, or null for nothing.</summary>
    public void Revoke(IEnumerable<(Grant Grant, Grant? Remainder)> changes, string by, DateTimeOffset at) => database.Write((c, t) =>
    {
        foreach (var (grant, rest) in changes)
        {
            c.Execute("update grants set revoked_at = @at, revoked_by = @by where id = @Id and revoked_at is null", new { grant.Id, by, at = at.ToUnixTimeMilliseconds() }, t);
            if (rest is not null)
                Insert(c, t, rest);
        }
    });

    static void Insert(SqliteConnection c, SqliteTransaction t, Grant grant) => c.Execute(
        $"insert into grants ({Columns}) values (@Id, @Subject, @Nodes, @Partitions, @From, @Until, @Source, @GrantedBy, @At, null, null)",
        new
        {
            grant.Id,
            grant.Subject,
            Nodes = grant.Nodes?.ToString() ?? "*",
            Partitions = string.Join(',', grant.Partitions),
            From = grant.From?.ToUnixTimeMilliseconds(),
            Until = grant.Until?.ToUnixTimeMilliseconds(),
            grant.Source,
            grant.GrantedBy,
            At = grant.GrantedAt.ToUnixTimeMilliseconds(),
        },
        t);

    static IEnumerable<Grant> Rows(SqliteConnection c, string where, SqliteTransaction? t = null) =>
        c.Query<Row>(
            "select id, subject, nodes, partitions, from_at as FromAt, until_at as UntilAt, source, granted_by as GrantedBy, granted_at as GrantedAt, "
                + $"revoked_at as RevokedAt, revoked_by as RevokedBy from grants {where}", transaction: t)
            .Select(r => new Grant(
                r.Id, r.Subject, r.Nodes == "*" ? null : NodeSet.Parse(r.Nodes), [.. r.Partitions.Split(',', StringSplitOptions.RemoveEmptyEntries)],
                Time(r.FromAt), Time(r.UntilAt), r.Source, r.GrantedBy, Time(r.GrantedAt)!.Value)
            {
                RevokedAt = Time(r.RevokedAt),
                RevokedBy = r.RevokedBy,
            });

    static DateTimeOffset? Time(long? milliseconds) => milliseconds is { } at ? DateTimeOffset.FromUnixTimeMilliseconds(at) : null;
}
