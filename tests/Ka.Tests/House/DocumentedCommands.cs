using System.CommandLine;
using System.Text.RegularExpressions;
using Ka.Cli.Commands;

namespace Ka.Tests.House;

/// <summary>What the documents tell people to type exists.</summary>
public sealed partial class DocumentedCommands
{
    public static TheoryData<string> Documents =>
        [.. new[] { "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "packaging/README.md", "bench/README.md" }
            .Concat(Directory.GetFiles(Path.Combine(Repository.Root, "docs"), "*.md", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(Repository.Root, f)))
            .Order(StringComparer.Ordinal)];

    [Theory, MemberData(nameof(Documents))]
    public void Every_command_that_the_documents_show_is_understood(string document)
    {
        var wrong = Written().Matches(Repository.Read(document)).SelectMany(m => Wrong(m.Groups["words"].Value.Trim())).Distinct();
        Assert.Empty(wrong);
    }

    [Fact]
    public void A_command_or_option_that_does_not_exist_is_seen()
    {
        Assert.Single(Wrong("deploi debian12"));
        Assert.Single(Wrong("deploy debian12 --set-custom-operations f"));
        Assert.Single(Wrong("ops ls|shoo"));
        Assert.Empty(Wrong("ops ls|show -o json"));
    }

    static IEnumerable<string> Wrong(string line)
    {
        Command at = CommandTree.Build();
        var root = at;
        foreach (var word in line.Split(' ', StringSplitOptions.RemoveEmptyEntries).TakeWhile(w => w is not ("#" or ";" or "|" or "&&" or "→")))
        {
            if (word.StartsWith('-') && word.Length > 1)
            {
                var name = word.TrimEnd('.', ',', ']').Split('=')[0].TrimStart('[');
                if (at.TreatUnmatchedTokensAsErrors && !root.Options.Concat(at.Options).Any(o => o.Name == name || o.Aliases.Contains(name)))
                    yield return $"ka {line}: {at.Name} has no option {name}";
            }
            else if (at.Subcommands.Count > 0)
            {
                var found = word.Split('|').Select(w => at.Subcommands.FirstOrDefault(c => c.Name == w)).ToArray();
                if (found.Any(c => c is null))
                {
                    yield return $"ka {line}: {at.Name} has no command {word}";
                    yield break;
                }
                at = found[^1]!;
            }
        }
    }

    /// <summary>In backquotes, or at the start of a line of a code block.</summary>
    [GeneratedRegex(@"(?:`|^\s*(?:\$ )?)(?:\./)?ka (?<words>[a-z][^`\n]*)", RegexOptions.Multiline)]
    private static partial Regex Written();
}
