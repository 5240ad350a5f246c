using System.Text.Json;
using System.Text.RegularExpressions;
using Ka.Tests.House;

namespace Ka.Tests.Server;

/// <summary>The dashboard and the alert rules that are shipped speak of metrics that there are.</summary>
public sealed partial class Dashboards(RunningServer server) : IClassFixture<RunningServer>
{
    const string Grafana = "packaging/grafana/ka.json", Prometheus = "packaging/prometheus/ka.rules.yaml";

    [Theory]
    [InlineData(Grafana)]
    [InlineData(Prometheus)]
    public async Task Every_metric_of_theirs_is_one_of_the_server(string file)
    {
        var metrics = await server.Http.GetStringAsync("/metrics", TestContext.Current.CancellationToken);
        var known = Family().Matches(metrics).Select(m => m.Groups[1].Value).ToHashSet(StringComparer.Ordinal);
        string[] named = [.. Named().Matches(Repository.Read(file)).Select(m => m.Groups[1].Value).Distinct(StringComparer.Ordinal)];
        Assert.NotEmpty(named);
        Assert.Empty(named.Except(known));
    }

    [Fact]
    public void Every_panel_has_a_title_and_a_query()
    {
        var panels = JsonDocument.Parse(Repository.Read(Grafana)).RootElement.GetProperty("panels").EnumerateArray().ToArray();
        Assert.NotEmpty(panels);
        Assert.All(panels, p => Assert.True(p.GetProperty("title").GetString()!.Length > 0 && p.GetProperty("targets")[0].GetProperty("expr").GetString()!.Length > 0));
        Assert.Equal(panels.Length, panels.Select(p => p.GetProperty("id").GetInt32()).Distinct().Count());
    }

    /// <summary>A family's name as the server writes it.</summary>
    [GeneratedRegex("(?m)^# TYPE (ka_[a-z_]+) ")]
    private static partial Regex Family();

    [GeneratedRegex(@"\b(ka_[a-z_]+?)(?:_bucket|_sum|_count)?(?=[\[\]{} ,)""\n])")]
    private static partial Regex Named();
}
