using System.Text.RegularExpressions;

namespace Ka.Tests.House;

/// <summary>The tables that compare Ka with Kadeploy3 name tests that exist, and nothing without a verdict.</summary>
public sealed partial class ParityTables
{
    [Fact]
    public void Every_test_that_the_table_of_bugs_names_exists() => NamesTests("docs/kadeploy3-bugs.md", 12);

    [Fact]
    public void Every_test_that_the_parity_table_names_exists() => NamesTests("docs/kadeploy3-parity.md", 150);

    static void NamesTests(string document, int least)
    {
        var tests = Method().Matches(string.Concat(Repository.CSharp("tests").Select(Repository.Read))).Select(m => m.Groups[1].Value).ToHashSet(StringComparer.Ordinal);
        var named = Name().Matches(Repository.Read(document)).Select(m => m.Groups[1].Value).ToArray();
        Assert.True(named.Length >= least, $"only {named.Length} tests are named");
        Assert.Empty(named.Except(tests));
    }

    [Fact]
    public void Every_bug_has_its_row() =>
        Assert.Equal(Enumerable.Range(1, 21), Row().Matches(Repository.Read("docs/kadeploy3-bugs.md")).Select(m => int.Parse(m.Groups[1].Value)));

    [Fact]
    public void Every_feature_of_the_parity_table_has_a_verdict()
    {
        var rows = Repository.Read("docs/kadeploy3-parity.md").Split('\n').Where(l => l.StartsWith("| ", StringComparison.Ordinal)).Skip(1).ToArray();
        Assert.True(rows.Length >= 100);
        Assert.Empty(rows.Select(r => r.Split(" | ")[0]).GroupBy(f => f).Where(g => g.Count() > 1).Select(g => g.Key));
        Assert.All(rows, r => Assert.Matches(@"^\| [^|]+ \| (works \((`[A-Z]\w*_\w+`(, )?)+(?<!, )\)|replaced by .{10,}|left out because .{10,}) \|$", r));
    }

    [GeneratedRegex("`([A-Z][A-Za-z0-9]*_[A-Za-z0-9_]+)`")]
    private static partial Regex Name();

    /// <summary>A test, by its attributes.</summary>
    [GeneratedRegex(@"\[(?:\w*Fact|\w*Theory|InlineData|MemberData)\b[^\n]*\]\s+public (?:async )?(?:void|Task) (\w+)\(")]
    private static partial Regex Method();

    [GeneratedRegex(@"^\| (\d+) \|", RegexOptions.Multiline)]
    private static partial Regex Row();
}
