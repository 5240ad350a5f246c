using Ka.Cli;

namespace Ka.Tests.Cli;

/// <summary>Rows by the columns that somebody names.</summary>
public sealed class SortingColumns
{
    static readonly string[] Heads = ["NODE", "RUNS", "CODE"];

    static string Sorted(string by, params string[] rows)
    {
        Assert.True(Columns.TryRead(by, Heads, signed: true, out var columns, out var error), error);
        return string.Join(' ', Columns.Ordered(rows, r => r.Split('/'), columns));
    }

    [Theory]
    [InlineData("runs", "c/2/x b/10/y a/10/z d//x")]
    [InlineData("-runs,node", "a/10/z b/10/y c/2/x d//x")]
    [InlineData("CODE,-node", "d//x c/2/x b/10/y a/10/z")]
    public void Numbers_count_by_their_value_and_what_is_empty_comes_last(string by, string expected) => Assert.Equal(expected, Sorted(by, "b/10/y", "d//x", "c/2/x", "a/10/z"));

    [Theory]
    [InlineData("nodes", true, "'nodes' is no column; they are node, runs, code")]
    [InlineData("-node", false, "'-node' is no column; they are node, runs, code")]
    [InlineData("node,", true, "'' is no column; they are node, runs, code")]
    public void A_name_that_is_none_is_said_with_those_that_are(string by, bool signed, string expected)
    {
        Assert.False(Columns.TryRead(by, Heads, signed, out _, out var error));
        Assert.Equal(expected, error);
    }
}
