using System.Runtime.CompilerServices;
using System.Text;
using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Cli.Kadeploy3;

namespace Ka.Tests.Cli;

/// <summary>
/// Kadeploy3's command lines in ka's words. The table is a text: a line of Kadeploy3, what becomes of it below (! refused, # has no
/// effect). UPDATE_GOLDEN=1 writes the answers anew.
/// </summary>
public sealed class OldCommands
{
    [Fact]
    public void Every_command_line_of_Kadeploy3_becomes_what_the_table_says()
    {
        var path = PathOf();
        var lines = File.ReadAllLines(path).Where(l => l.StartsWith('$')).ToArray();
        Assert.True(lines.Length >= 120);
        Assert.Equal(lines.Length, lines.Distinct().Count());
        var text = new StringBuilder();
        foreach (var line in lines)
        {
            text.Append(line).Append('\n');
            var call = Call(line[2..]);
            foreach (var note in call.Notes)
                text.Append("    # ").Append(note).Append('\n');
            text.Append("    ").Append(call.Refusal is { } why ? "! " + why : call.ToString()).Append(call.AllServers && call.Refusal is null ? "  (on all servers)\n" : "\n");
        }
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
            File.WriteAllText(path, text.ToString());
        Assert.Equal(File.ReadAllText(path), text.ToString());
    }

    [Fact]
    public void Every_answer_is_a_command_line_that_ka_understands()
    {
        var tree = CommandTree.Build();
        foreach (var line in File.ReadAllLines(PathOf()).Where(l => l.StartsWith('$')))
            if (Call(line[2..]) is { Refusal: null } call)
            {
                var parsed = tree.Parse([.. call.Words, "--sentences", "kadeploy3"]);
                Assert.True(parsed.Errors.Count == 0, $"{line}: {string.Join("; ", parsed.Errors.Select(e => e.Message))}");
            }
    }

    [Fact]
    public void Every_option_of_every_tool_stands_in_the_table()
    {
        var lines = File.ReadAllLines(PathOf()).Where(l => l.StartsWith('$')).ToArray();
        foreach (var tool in OldTools.Names.Where(n => n != "kaconsole3"))
        {
            var letters = OldTools.TableOf(tool).Where(o => o.Letter is not null).GroupBy(o => o.Letter).Where(g => g.Count() > 1).Select(g => $"{tool} -{g.Key}");
            Assert.Empty(letters);
        }
        var options = OldTools.Names.SelectMany(OldTools.TableOf).DistinctBy(o => o.Name);
        Assert.Empty(options.Where(o => !lines.Any(l => l.Contains($"--{o.Name}", StringComparison.Ordinal) || l.Contains($"--no-{o.Name}", StringComparison.Ordinal) || (o.Letter is { } c && l.Contains($" -{c}", StringComparison.Ordinal)))).Select(o => o.Name));
    }

    [Theory]
    [InlineData(ExitCodes.Done, null, false, 0)]
    [InlineData(ExitCodes.SomeFailed, null, false, 0)]
    [InlineData(ExitCodes.AllFailed, null, false, 0)]
    [InlineData(ExitCodes.Cancelled, null, false, 1)]
    [InlineData(ExitCodes.Left, null, false, 1)]
    [InlineData(ExitCodes.Usage, null, false, 1)]
    [InlineData(ExitCodes.BadData, "nodes.unknown", false, 2)]
    [InlineData(ExitCodes.NoRight, "rights.missing", false, 6)]
    [InlineData(ExitCodes.BadData, "environment.unknown", false, 7)]
    [InlineData(ExitCodes.Busy, "nodes.busy", false, 11)]
    [InlineData(ExitCodes.NoRight, "auth.missing", false, 2)]
    [InlineData(ExitCodes.Internal, "server.internal", false, 3)]
    [InlineData(ExitCodes.Unreachable, "server.unreachable", false, 1)]
    [InlineData(0, null, true, 0)]
    [InlineData(1, null, true, 1)]
    [InlineData(2, "reboot.destructive", true, 2)]
    [InlineData(ExitCodes.NoRight, "rights.missing", true, 6)]
    public void Exit_statuses_are_those_of_Kadeploy3(int status, string? code, bool checks, int expected) => Assert.Equal(expected, OldStatus.Of(status, code, checks));

    [Theory]
    [InlineData("kadeploy3", "kadeploy3")]
    [InlineData("kadeploy", "kadeploy3")]
    [InlineData("kastat", "kastat3")]
    [InlineData("ka", null)]
    [InlineData("kadeploy4", null)]
    public void A_program_is_known_by_its_name_with_or_without_the_number(string program, string? tool) => Assert.Equal(tool, OldTools.Named(program));

    static OldCall Call(string line)
    {
        var words = Words(line);
        var job = words[0] == "JOB";
        if (job)
            words.RemoveAt(0);
        return OldTools.Translate(words[0], words[1..], name => name switch { "HOME" => "/h/alice", "OAR_NODE_FILE" when job => "/var/lib/oar/17", _ => null });
    }

    /// <summary>Splits as a shell does, with single quotes only.</summary>
    static List<string> Words(string line)
    {
        var words = new List<string>();
        var (word, quoted, open) = (new StringBuilder(), false, false);
        foreach (var c in line)
        {
            if (c == '\'')
                (quoted, open) = (!quoted, true);
            else if (c == ' ' && !quoted)
            {
                if (word.Length > 0 || open)
                    words.Add(word.ToString());
                word.Clear();
                open = false;
            }
            else
                word.Append(c);
        }
        if (word.Length > 0 || open)
            words.Add(word.ToString());
        return words;
    }

    static string PathOf([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "golden", "kadeploy3.txt");
}
