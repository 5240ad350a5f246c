using System.Text.RegularExpressions;
using Ka.Cli.Commands;
using Ka.Tests.Cli;
using Ka.Tests.Server;

namespace Ka.Tests.House;

/// <summary>What the book shows is what <c>ka</c> does.</summary>
public sealed partial class TheBook(RunningServer server) : IClassFixture<RunningServer>
{
    public static TheoryData<string> Chapters => [.. Directory.GetFiles(Path.Combine(Repository.Root, "docs", "book"), "*.md").Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];

    static string Read(string chapter) => Repository.Read("docs/book/" + chapter);

    [Theory, MemberData(nameof(Chapters))]
    public void Every_example_is_a_command_line_that_ka_understands(string chapter)
    {
        var lines = Block().Matches(Read(chapter)).SelectMany(b => Lines(b.Groups["text"].Value))
            .Concat(Quoted().Matches(Read(chapter)).Select(m => m.Groups["line"].Value).Where(l => !l.Contains("REASON", StringComparison.Ordinal) && l.Contains(' ', StringComparison.Ordinal)));
        Assert.Empty(
            from line in lines
            let parsed = CommandTree.Build().Parse(InProcess.Words(line.Split(" | ")[0]))
            where parsed.Errors.Count > 0 && !IsPart(line)
            select $"ka {line}: {string.Join("; ", parsed.Errors.Select(e => e.Message))}");
    }

    /// <summary>In a sentence, a command may be named without what it needs.</summary>
    static bool IsPart(string line) => CommandTree.Build().Parse(InProcess.Words(line.Split(" | ")[0])).UnmatchedTokens.Count == 0 && !line.Contains(" -", StringComparison.Ordinal);

    [Theory, MemberData(nameof(Chapters))]
    public async Task What_is_marked_to_be_run_does_run(string chapter)
    {
        foreach (var line in Block().Matches(Read(chapter)).Where(b => b.Groups["run"].Success).SelectMany(b => Lines(b.Groups["text"].Value)))
        {
            var said = await InProcess.RunAsync([.. InProcess.Words(line), "-S", "unix:" + server.PathOf("kad.sock"), "--contexts", server.PathOf("none.json")]);
            Assert.True(said.Status == 0, $"ka {line}: {said.Status}\n{said.Output}{said.Errors}");
        }
    }

    [Fact]
    public void The_book_has_examples_that_are_run() => Assert.True(Chapters.Sum(c => Block().Count(Read(c.Data))) >= 10);

    static IEnumerable<string> Lines(string block) => block.Split('\n').Where(l => l.StartsWith("$ ka ", StringComparison.Ordinal)).Select(l => l["$ ka ".Length..].Trim());

    [GeneratedRegex(@"^```console(?<run> run)?\n(?<text>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();

    [GeneratedRegex(@"`ka (?<line>[^`\n]+)`")]
    private static partial Regex Quoted();
}
