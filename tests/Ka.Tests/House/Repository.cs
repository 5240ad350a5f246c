using System.Reflection;
using System.Text.RegularExpressions;

namespace Ka.Tests.House;

/// <summary>The files of this repository, as the house tests read them.</summary>
static class Repository
{
    static readonly string[] Skipped = ["artifacts", "bin", "obj", ".git", ".vs", ".idea", "TestResults"];

    public static string Root { get; } = Find();

    public static string Read(string path) => File.ReadAllText(Path.Combine(Root, path));

    /// <summary>Paths relative to the root, with '/', in order; build output left out.</summary>
    public static IReadOnlyList<string> Files(string under = "", string pattern = "*")
    {
        var found = new List<string>();
        Walk(Path.Combine(Root, under), pattern, found);
        return [.. found.Select(f => Path.GetRelativePath(Root, f)).Order(StringComparer.Ordinal)];
    }

    public static IReadOnlyList<string> CSharp(params string[] folders) => [.. folders.SelectMany(f => Files(f, "*.cs"))];

    /// <summary>The assemblies built from src.</summary>
    public static IReadOnlyList<Assembly> Assemblies { get; } =
    [
        typeof(global::Ka.Core.Faults.Fault).Assembly, typeof(global::Ka.Engine.Runner).Assembly, typeof(global::Ka.Yaml.YamlReader).Assembly, typeof(global::Ka.Broadcast.ChainPlan).Assembly,
        typeof(global::Ka.Protocol.Rest.RestJson).Assembly, typeof(global::Ka.Drivers.Power.PowerDrivers).Assembly, typeof(global::Ka.Boot.BootServer).Assembly, typeof(global::Ka.Store.Journal).Assembly,
        typeof(global::Ka.Simulation.SimulatedWorld).Assembly, typeof(global::Ka.Server.Hosting.Site).Assembly, typeof(global::Ka.Agent.Machine.AgentPaths).Assembly,
        typeof(global::Ka.Cli.ExitCodes).Assembly, typeof(global::Ka.Lab.Lab).Assembly,
    ];

    /// <summary>Rows of the tables of a Markdown text: the cells of every line that begins with '|', rules and heads included.</summary>
    public static IEnumerable<string[]> Rows(string markdown) =>
        markdown.Split('\n').Where(l => l.StartsWith('|')).Select(l => l.Trim().Trim('|').Split('|').Select(c => c.Trim()).ToArray());

    /// <summary>What stands between backticks.</summary>
    public static IEnumerable<string> Quoted(string markdown) => Regex.Matches(markdown, "`([^`]+)`").Select(m => m.Groups[1].Value);

    static void Walk(string folder, string pattern, List<string> found)
    {
        if (!Directory.Exists(folder))
            return;
        found.AddRange(Directory.EnumerateFiles(folder, pattern));
        foreach (var inner in Directory.EnumerateDirectories(folder))
            if (!Skipped.Contains(Path.GetFileName(inner)))
                Walk(inner, pattern, found);
    }

    static string Find()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Ka.slnx")))
                return at.FullName;
        throw new InvalidOperationException("Ka.slnx is in no directory above the tests");
    }
}
