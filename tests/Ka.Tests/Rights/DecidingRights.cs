using System.Collections.Immutable;
using Ka.Core;
using Ka.Core.NodeSets;
using Ka.Core.Rights;

namespace Ka.Tests.Rights;

public sealed class DecidingRights
{
    static readonly DateTimeOffset Noon = DateTimeOffset.UnixEpoch.AddHours(12);

    static Caller Alice(Role role = Role.User, params string[] groups) => new("alice", [.. groups], role, "test");

    static Grant Grant(string subject, string nodes, int? from = null, int? until = null, params string[] parts) => new(
        $"G-{subject}-{nodes}", subject, nodes == "*" ? null : NodeSet.Parse(nodes), [.. parts], from is { } f ? Noon.AddMinutes(f) : null, until is { } u ? Noon.AddMinutes(u) : null, null, "root", Noon);

    static Verdict Decide(Caller caller, string nodes, PartitionNeed need, params Grant[] grants) => NodeRules.Decide(caller, NodeSet.Parse(nodes), need, grants, Noon);

    static string Denied(Verdict verdict) => verdict.Denied.IsEmpty ? "" : verdict.Denied.ToString();

    [Fact]
    public void Without_a_rule_nothing_is_allowed_and_that_is_said()
    {
        var verdict = Decide(Alice(), "gris-[1-3]", PartitionNeed.Nothing);
        Assert.Equal(("gris-[1-3]", "no rule gives alice anything there"), (Denied(verdict), Assert.Single(verdict.Parts).Reason));
    }

    [Theory]
    [InlineData(Role.Admin, "")]
    [InlineData(Role.Operator, "")]
    [InlineData(Role.User, "gris-3")]
    [InlineData(Role.Viewer, "gris-[1-3]")]
    public void A_role_decides_before_the_rules(Role role, string denied) =>
        Assert.Equal(denied, Denied(Decide(Alice(role), "gris-[1-3]", PartitionNeed.WholeDisk, Grant("alice", "gris-[1-2]"))));

    [Theory]
    [InlineData("alice", "")]
    [InlineData("@team", "")]
    [InlineData("*", "")]
    [InlineData("Alice", "gris-1")]
    [InlineData("alic", "gris-1")]
    [InlineData("@alice", "gris-1")]
    [InlineData("team", "gris-1")]
    public void A_rule_is_for_who_it_names_and_nobody_else(string subject, string denied) =>
        Assert.Equal(denied, Denied(Decide(Alice(Role.User, "team"), "gris-1", PartitionNeed.WholeDisk, Grant(subject, "gris-[1-2]"))));

    [Theory]
    [InlineData("gris-01", "gris-1")]
    [InlineData("GRIS-1", "gris-1")]
    [InlineData("gris-1.site", "gris-1")]
    [InlineData("gris-11", "gris-1")]
    public void Another_spelling_of_a_node_is_another_node(string granted, string asked) => Assert.False(Decide(Alice(), asked, PartitionNeed.Nothing, Grant("alice", granted)).Allowed);

    [Theory]
    [InlineData(null, null, "")]
    [InlineData(0, 1, "")]
    [InlineData(-5, 0, "is over")]
    [InlineData(1, 5, "has not begun")]
    public void A_rule_holds_from_its_begin_and_not_at_its_end(int? from, int? until, string reason)
    {
        var verdict = Decide(Alice(), "gris-1", PartitionNeed.Nothing, Grant("alice", "gris-1", from, until));
        Assert.Equal(reason.Length == 0, verdict.Allowed);
        Assert.Contains(reason, Assert.Single(verdict.Parts).Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("root", "")]
    [InlineData("3", "")]
    [InlineData("/dev/sda3", "")]
    [InlineData("/dev/nvme0n1p3", "")]
    [InlineData("/dev/sda", "gris-1")]
    [InlineData("4", "gris-1")]
    [InlineData("33", "gris-1")]
    [InlineData("swap", "gris-1")]
    public void A_rule_for_a_partition_allows_what_writes_that_partition_only(string part, string denied)
    {
        var deployPartition = new PartitionNeed([new PartitionRef("root", 3)]);
        Assert.Equal(denied, Denied(Decide(Alice(), "gris-1", deployPartition, Grant("alice", "gris-1", null, null, part))));
        Assert.False(Decide(Alice(), "gris-1", PartitionNeed.WholeDisk, Grant("alice", "gris-1", null, null, part)).Allowed);
        Assert.True(Decide(Alice(), "gris-1", PartitionNeed.Nothing, Grant("alice", "gris-1", null, null, part)).Allowed);
    }

    [Fact]
    public void Each_part_of_a_verdict_names_the_rule_that_decides()
    {
        var verdict = Decide(Alice(Role.User, "team"), "gris-[1-6]", PartitionNeed.Nothing, Grant("alice", "gris-[1-2]"), Grant("@team", "gris-[2-3]"), Grant("alice", "gris-4", null, -1), Grant("bob", "gris-5"));
        Assert.Equal(
            ["True gris-[1-2] G-alice-gris-[1-2]", "True gris-3 G-@team-gris-[2-3]", "False gris-4 G-alice-gris-4", "False gris-[5-6] "],
            verdict.Parts.Select(p => $"{p.Allowed} {p.Nodes} {p.Rule}"));
    }

    static readonly string[] Subjects = ["alice", "@team", "bob", "*"], Sets = ["*", "gris-[1-3]", "gris-[2-5]", "gris-6", "gris-[1-6/2]"], Parts = ["", "root", "4"];

    static readonly (int?, int?)[] Windows = [(null, null), (-1, 1), (1, 2), (-2, -1), (0, null)];

    static Grant Any(ulong seed, ref ulong draw)
    {
        var window = Windows[Pick(seed, ref draw, Windows.Length)];
        var part = Parts[Pick(seed, ref draw, Parts.Length)];
        return Grant(Subjects[Pick(seed, ref draw, Subjects.Length)], Sets[Pick(seed, ref draw, Sets.Length)], window.Item1, window.Item2, part.Length == 0 ? [] : [part]);
    }

    static int Pick(ulong seed, ref ulong draw, int below) => (int)(SplitMix64.At(seed, draw++) % (ulong)below);

    [Fact]
    public void Another_rule_never_takes_away_what_one_gives_and_every_node_stands_in_exactly_one_part()
    {
        var need = new PartitionNeed([new PartitionRef("root", 3)]);
        var all = NodeSet.Parse("gris-[1-6]");
        for (var seed = 0UL; seed < 500; seed++)
        {
            var draw = 0UL;
            var grants = new Grant[Pick(seed, ref draw, 6)];
            for (var i = 0; i < grants.Length; i++)
                grants[i] = Any(seed, ref draw);
            var few = NodeRules.Decide(Alice(Role.User, "team"), all, need, grants, Noon);
            var many = NodeRules.Decide(Alice(Role.User, "team"), all, need, [.. grants, Any(seed, ref draw)], Noon);
            Assert.True(many.Denied.IsSubsetOf(few.Denied), $"seed {seed}");
            Assert.Equal(all.Count, many.Parts.Sum(p => p.Nodes.Count));
            Assert.Equal(all, many.Parts.Aggregate(NodeSet.Empty, (s, p) => s | p.Nodes));
        }
    }
}
