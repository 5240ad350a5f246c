using System.Text.RegularExpressions;

namespace Ka.Tests.House;

/// <summary>The tables that compare Ka with Kadeploy3 name tests that exist, and nothing without a verdict.</summary>
public sealed partial class ParityTables
{
    [Fact]
    public void Every_test_that_the_table_of_bugs_names_exists()
    {
        var tests = string.Concat(Repository.CSharp("tests").Select(Repository.Read));
        var named = Name().Matches(Repository.Read("docs/kadeploy3-bugs.md")).Select(m => m.Groups[1].Value).ToArray();
        Assert.True(named.Length >= 12, $"only {named.Length} tests are named");
        Assert.All(named, n => Assert.Matches($@"\b{n}\(", tests));
    }

    [Fact]
    public void Every_bug_has_its_row() =>
        Assert.Equal(Enumerable.Range(1, 21), Row().Matches(Repository.Read("docs/kadeploy3-bugs.md")).Select(m => int.Parse(m.Groups[1].Value)));

    [Fact]
    public void Every_feature_of_the_parity_table_has_a_verdict()
    {
        var rows = Repository.Read("docs/kadeploy3-parity.md").Split('\n').Where(l => l.StartsWith("| ", StringComparison.Ordinal)).Skip(1).ToArray();
        Assert.True(rows.Length > 20);
        Assert.All(rows, r => Assert.Matches(@"\| (works|works in part: .+|replaced by .+|left out because .+|not yet: .+) \|$", r));
    }

    [GeneratedRegex("`([A-Z][A-Za-z0-9]*_[A-Za-z0-9_]+)`")]
    private static partial Regex Name();

    [GeneratedRegex(@"^\| (\d+) \|", RegexOptions.Multiline)]
    private static partial Regex Row();
}
