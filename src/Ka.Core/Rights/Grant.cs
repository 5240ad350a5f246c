using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Ka.Core.NodeSets;

namespace Ka.Core.Rights;

/// <summary>A rule: somebody may work on some nodes, within a time.</summary>
/// <param name="Id"><c>G-</c> and six characters.</param>
/// <param name="Subject">A user, <c>@group</c>, or <c>*</c> for everybody.</param>
/// <param name="Nodes">Null for every node of the site, those that come later too.</param>
/// <param name="Partitions">Names of partitions, or their numbers as <c>3</c> or <c>/dev/sda3</c>; empty for all.</param>
/// <param name="From">Inclusive; null for always before.</param>
/// <param name="Until">Exclusive; null for always after.</param>
/// <param name="Source">Who asked for it: <c>job:48213</c>; null for a person.</param>
public sealed record Grant(
    string Id, string Subject, NodeSet? Nodes, ImmutableArray<string> Partitions, DateTimeOffset? From, DateTimeOffset? Until, string? Source,
    string GrantedBy, DateTimeOffset GrantedAt)
{
    public DateTimeOffset? RevokedAt { get; init; }

    public string? RevokedBy { get; init; }

    public bool IsFor(Caller caller) =>
        Subject == "*" || (Subject.StartsWith('@') ? caller.Groups.Contains(Subject[1..], StringComparer.Ordinal) : Subject == caller.Name);

    public bool HoldsAt(DateTimeOffset now) => RevokedAt is null && (From is not { } from || from <= now) && (Until is not { } until || now < until);

    /// <summary>Whether the rule reaches everything that is written.</summary>
    public bool Covers(PartitionNeed need) =>
        Partitions.IsEmpty || (need.Parts is { } parts && parts.All(p => Partitions.Any(word => word == p.Name || PartitionWords.NumberOf(word) == p.Number)));

    /// <summary>The rule in one line, as people are told it.</summary>
    public override string ToString() =>
        $"{Id} ({Subject} on {Nodes?.ToString() ?? "*"}{(Partitions.IsEmpty ? "" : $" partition {string.Join(',', Partitions)}")}"
        + $"{(From is { } from ? $" from {Said(from)}" : "")}{(Until is { } until ? $" until {Said(until)}" : "")}{(Source is null ? "" : $", {Source}")})";

    static string Said(DateTimeOffset at) => at.ToUniversalTime().ToString("yyyy-MM-dd HH:mm:ss'Z'");
}

/// <summary>A partition of a node's first disk, as rules name it.</summary>
/// <param name="Number">Its place in the table, from 1.</param>
public sealed record PartitionRef(string Name, int Number);

/// <summary>What an operation writes on a node's disks.</summary>
/// <param name="Parts">Null for whole disks, empty for nothing.</param>
public sealed record PartitionNeed(ImmutableArray<PartitionRef>? Parts)
{
    public static readonly PartitionNeed Nothing = new([]), WholeDisk = new((ImmutableArray<PartitionRef>?)null);
}

/// <summary>The words by which rules name people, partitions and sources.</summary>
public static partial class PartitionWords
{
    /// <summary>A user, <c>@group</c> or <c>*</c>.</summary>
    public static bool IsSubject(string text) => Subject().IsMatch(text);

    /// <summary>The name of one user.</summary>
    public static bool IsUser(string text) => IsSubject(text) && text is not ("*" or ['@', ..]);

    /// <summary>As in <c>job:48213</c>.</summary>
    public static bool IsSource(string text) => Source().IsMatch(text);

    /// <summary>A name of a layout, a number, or a device with a number.</summary>
    public static bool IsPartition(string text) => Partition().IsMatch(text);

    /// <summary>The number in <c>3</c>, <c>/dev/sda3</c> or <c>/dev/nvme0n1p3</c>; null when there is none.</summary>
    public static int? NumberOf(string word) => Numbered().Match(word) is { Success: true } found && int.TryParse(found.Groups["n"].Value, out var number) ? number : null;

    [GeneratedRegex(@"\A(\*|@?[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63})\z")]
    private static partial Regex Subject();

    [GeneratedRegex(@"\A[a-z]{1,16}:[A-Za-z0-9_.\[\]-]{1,64}\z")]
    private static partial Regex Source();

    [GeneratedRegex(@"\A(/dev/[A-Za-z0-9]{1,32}|[a-z0-9_-]{1,16})\z")]
    private static partial Regex Partition();

    [GeneratedRegex(@"\A(?:/dev/(?:[a-z]+|[a-z]+[0-9]+(?:n[0-9]+)?p))?(?<n>[1-9][0-9]{0,2})\z")]
    private static partial Regex Numbered();
}
