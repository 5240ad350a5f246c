using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Ka.Tests.House;

/// <summary>What every file of the repository keeps to.</summary>
public partial class Tidiness
{
    const int FileLimit = 400, FunctionLimit = 60;

    [Fact]
    public void Files_have_at_most_400_lines() =>
        Assert.Empty(Repository.CSharp("src", "tests").Select(f => (f, Lines: Repository.Read(f).AsSpan().Count('\n'))).Where(f => f.Lines > FileLimit).Select(f => $"{f.f}: {f.Lines}"));

    [Fact]
    public void Functions_have_at_most_60_lines() =>
        Assert.Empty(
            from file in Repository.CSharp("src", "tests")
            from member in CSharpText.Members(CSharpText.Bare(Repository.Read(file)))
            where member.Lines > FunctionLimit && member.Head.Contains('(')
            select $"{file}:{member.Line}: {member.Lines} lines: {member.Head}");

    [Fact]
    public void The_counter_of_lines_sees_functions()
    {
        const string source = "namespace A;\n/// <summary>{</summary>\nclass B<T> where T : class\n{\n    int _c = 1;\n    string D(int e) =>\n        $\"{F(\"}\")}{{\";\n\n    void G()\n    {\n        if (x) { y(); }\n    }\n}\n";
        var members = CSharpText.Members(CSharpText.Bare(source)).Select(m => (m.Line, m.Lines)).ToArray();
        Assert.Equal([(1, 1), (5, 1), (6, 2), (9, 4)], members);
    }

    [Fact]
    public void Types_are_not_named_after_nothing()
    {
        var vague = Repository.Assemblies.SelectMany(a => a.GetTypes()).Where(t => !t.Name.Contains('<') && VagueName().IsMatch(t.Name)).Select(t => t.FullName);
        Assert.Empty(vague);
    }

    [Fact]
    public void Nothing_is_left_for_later()
    {
        var mark = new Regex(@"\b(TO" + "DO|FIX" + "ME|HA" + @"CK|XX" + @"X)\b");
        string[] found = [.. Texts().Where(f => mark.IsMatch(Repository.Read(f)))];
        Assert.Empty(found);
    }

    [Fact]
    public void No_file_knows_the_machine_it_was_written_on()
    {
        var path = new Regex("(?<![A-Za-z0-9._}$-])/(home/[a-z]|root/(?!\\.ssh)[a-z]|work/)");
        var found =
            from file in Texts()
            where !file.EndsWith("House/Tidiness.cs", StringComparison.Ordinal)
            from line in Repository.Read(file).Split('\n')
            where path.IsMatch(line)
            select $"{file}: {line.Trim()}";
        Assert.Empty(found);
    }

    [Fact]
    public void Public_types_say_what_they_are()
    {
        var silent =
            from file in Repository.CSharp("src")
            let lines = Repository.Read(file).Split('\n')
            from i in Enumerable.Range(1, lines.Length - 1)
            where PublicType().IsMatch(lines[i]) && !Documented(lines, i)
            select $"{file}:{i + 1}: {lines[i].Trim()}";
        Assert.Empty(silent);
    }

    /// <summary>A switch over an enum of ours names every member: a new one must break the build.</summary>
    [Fact]
    public void Switches_over_enums_have_no_discard_arm()
    {
        var enums = string.Join('|', Repository.Assemblies.SelectMany(a => a.GetTypes()).Where(t => t.IsEnum).Select(t => t.Name).Distinct());
        var arm = new Regex($@"(?:^|[,{{]|\bor)\s*(?:\w+\.)*(?:{enums})\.\w+\s*(?:=>|or\b|when\b)");
        var found =
            from file in Repository.CSharp("src")
            let bare = CSharpText.Bare(Repository.Read(file))
            from Match start in SwitchExpression().Matches(bare)
            let arms = TopLevel(bare, start.Index + start.Length)
            where arm.IsMatch(arms) && DiscardArm().IsMatch(arms)
            select $"{file}:{bare.AsSpan(0, start.Index).Count('\n') + 1}";
        Assert.Empty(found);
    }

    [Fact]
    public void Shell_scripts_can_be_read_by_their_shell()
    {
        foreach (var file in Repository.Files().Where(IsShell))
        {
            var first = Repository.Read(file).Split('\n')[0];
            Assert.True(first.StartsWith("#!", StringComparison.Ordinal) || SourcedShell().IsMatch(first), $"{file} has neither a shebang nor says that it is sourced");
            var shell = first.Contains("bash") || !first.StartsWith("#!", StringComparison.Ordinal) ? "bash" : "sh";
            using var check = Process.Start(new ProcessStartInfo(shell, ["-n", Path.Combine(Repository.Root, file)]) { RedirectStandardError = true })!;
            var errors = check.StandardError.ReadToEnd();
            check.WaitForExit();
            Assert.True(check.ExitCode == 0, $"{file}: {errors}");
        }
    }

    static bool IsShell(string file) =>
        file.EndsWith(".sh", StringComparison.Ordinal)
        || (Path.GetExtension(file).Length == 0 && File.ReadLines(Path.Combine(Repository.Root, file)).FirstOrDefault() is { } first && ShellShebang().IsMatch(first));

    static IEnumerable<string> Texts() => Repository.Files().Where(f =>
        Path.GetExtension(f) is ".cs" or ".sh" or ".md" or ".yaml" or ".yml" or ".csproj" or ".props" or ".slnx" or ".slnf" or ".sql" or ".service" or "" or ".env");

    static bool Documented(string[] lines, int i)
    {
        for (i--; i >= 0 && lines[i].Length > 0 && lines[i][^1] is not (';' or '}'); i--)
            if (lines[i].StartsWith("///", StringComparison.Ordinal))
                return true;
        return false;
    }

    /// <summary>The arms of a switch from after its brace, with what is in inner braces left out.</summary>
    static string TopLevel(string bare, int at)
    {
        var arms = new System.Text.StringBuilder("{");
        for (var depth = 0; at < bare.Length && depth >= 0; at++)
        {
            depth += bare[at] is '{' or '(' or '[' ? 1 : bare[at] is '}' or ')' or ']' ? -1 : 0;
            if (depth == 0)
                arms.Append(bare[at]);
        }
        return arms.ToString();
    }

    [GeneratedRegex("Manager|Helper|Util|Service")]
    private static partial Regex VagueName();

    [GeneratedRegex(@"^public (?:\w+ )*(?:class|struct|record|interface|enum) ")]
    private static partial Regex PublicType();

    [GeneratedRegex(@"\bswitch\s*\{")]
    private static partial Regex SwitchExpression();

    [GeneratedRegex(@"[,{]\s*_\s*=>")]
    private static partial Regex DiscardArm();

    [GeneratedRegex("^# .*(Sourced by|source it)")]
    private static partial Regex SourcedShell();

    [GeneratedRegex(@"^#!.*/(env )?(ba)?sh\b")]
    private static partial Regex ShellShebang();
}
