using System.Xml.Linq;

namespace Ka.Tests.House;

/// <summary>Imports go only downwards. The table stands here and in ARCHITECTURE.md; the project files obey it.</summary>
public class Floors
{
    /// <summary>Project, floor, what it may import, packages it may use.</summary>
    static readonly (string Project, int Floor, string Imports, string Packages)[] Table =
    [
        ("Core", 0, "", ""),
        ("Engine", 1, "Core", ""),
        ("Broadcast", 1, "Core", ""),
        ("Protocol", 1, "Core", ""),
        ("Yaml", 1, "Core", "YamlDotNet"),
        ("Drivers", 2, "Engine Broadcast Protocol", ""),
        ("Boot", 2, "Core", ""),
        ("Store", 2, "Engine Core", "Dapper Microsoft.Data.Sqlite SQLitePCLRaw.bundle_e_sqlite3"),
        ("Simulation", 2, "Engine Broadcast Core", ""),
        ("Server", 3, "Core Engine Broadcast Protocol Yaml Drivers Boot Store Simulation", "Microsoft.AspNetCore.OpenApi Microsoft.IdentityModel.JsonWebTokens OpenTelemetry OpenTelemetry.Exporter.OpenTelemetryProtocol Swashbuckle.AspNetCore.SwaggerUI"),
        ("Agent", 3, "Protocol Broadcast", ""),
        ("Cli", 3, "Protocol Broadcast", "Polly.Core System.CommandLine"),
        ("Lab", 3, "Protocol Yaml", "System.CommandLine"),
    ];

    /// <summary>An analyzer is no dependency: it does not run with the program.</summary>
    const string Analyzer = "Microsoft.CodeAnalysis.BannedApiAnalyzers";

    [Fact]
    public void Every_project_of_src_is_in_the_table() =>
        Assert.Equal(
            Table.Select(r => $"src/Ka.{r.Project}/Ka.{r.Project}.csproj").Order(StringComparer.Ordinal),
            Repository.Files("src", "*.csproj"));

    [Fact]
    public void Every_project_imports_only_what_the_table_allows()
    {
        foreach (var row in Table)
        {
            var imports = Named(row.Project, "ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Replace('\\', '/'))["Ka.".Length..]);
            Assert.Empty(imports.Except(Words(row.Imports)).Select(i => $"Ka.{row.Project} may not import Ka.{i}"));
        }
    }

    [Fact]
    public void Every_project_uses_only_the_packages_of_the_table()
    {
        foreach (var row in Table)
            Assert.Equal(Words(row.Packages).Order(StringComparer.Ordinal), Named(row.Project, "PackageReference").Where(p => p != Analyzer).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_table_itself_goes_only_downwards()
    {
        var floors = Table.ToDictionary(r => r.Project, r => r.Floor);
        foreach (var row in Table)
            Assert.All(Words(row.Imports), import => Assert.True(floors[import] < row.Floor, $"Ka.{row.Project} on floor {row.Floor} may not import Ka.{import} on floor {floors[import]}"));
    }

    [Fact]
    public void The_table_stands_in_the_architecture_with_the_same_content()
    {
        var written = Repository.Rows(Repository.Read("ARCHITECTURE.md"))
            .Where(r => r.Length == 5 && r[1].StartsWith("`Ka.", StringComparison.Ordinal))
            .Select(r => $"{r[0]} {r[1].Split('`')[1]}: {Sorted(r[3])}; {Sorted(r[4])}");
        var held = Table.Select(r => $"{(r.Floor == 0 ? "ground" : r.Floor)} Ka.{r.Project}: {Sorted(r.Imports)}; {Sorted(r.Packages)}");
        Assert.Equal(held, written);
    }

    static string Sorted(string cell) => string.Join(' ', Words(cell.Replace("nothing", "").Replace("none", "")).Order(StringComparer.Ordinal));

    static string[] Words(string text) => text.Split([' ', ',', '`'], StringSplitOptions.RemoveEmptyEntries);

    static IEnumerable<string> Named(string project, string element) =>
        XDocument.Parse(Repository.Read($"src/Ka.{project}/Ka.{project}.csproj")).Descendants(element).Select(e => e.Attribute("Include")!.Value);
}
