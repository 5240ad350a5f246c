using System.Collections.Immutable;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Core.NodeSets;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Server.Workflows;
using Ka.Simulation;
using Ka.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Ka.Tests.Server;

/// <summary>Programs that are told how an operation ended.</summary>
public sealed class Hooks : IDisposable
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    /// <summary>An operation that has ended, told to these hooks; gives what stands in its logs then.</summary>
    async Task<(string Id, ImmutableArray<NodeLog> Logs, WorkflowState State)> EndedAsync(params EndHook[] hooks)
    {
        using var database = new Database(_directory["ka.db"]);
        var (workflows, journal, logs) = (new WorkflowTable(database), new Journal(database), new LogTable(database));
        var sample = SimulatedDeployment.SampleCluster(["gris-1", "gris-2"]);
        var cluster = sample with { Nodes = [.. sample.Nodes.Select((n, i) => n with { Mac = $"52:54:00:00:00:0{i}" })] };
        var workflow = new Workflow("D-hooked", WorkflowKind.Deploy, "alice", SimulatedDeployment.SampleEnvironment, cluster, [], DateTimeOffset.UnixEpoch);
        var (fence, _) = workflows.Accept(workflow);
        workflows.End(workflow.Id, WorkflowState.Partial, fence, DateTimeOffset.UnixEpoch.AddMinutes(3));
        var site = new Site(new SiteConfiguration("s", _directory["state"], [], null!, null!, null!, [cluster], GroupTable.Empty, 100) { Hooks = [.. hooks] });
        using var ends = new EndHooks(site, workflows, journal, logs, TimeProvider.System, NullLogger<EndHooks>.Instance);
        ends.Begin(workflow.Id);
        await ends.EndedAsync(workflow.Id);
        return (workflow.Id, logs.Read(workflow.Id, null, 100), workflows.Find(workflow.Id)!.State);
    }

    static EndHook Shell(string script, params string[] words) => new(["/bin/sh", "-c", script, "hook", .. words], TimeSpan.FromMinutes(1));

    [Fact]
    public async Task A_hook_gets_its_arguments_and_the_operation_as_JSON()
    {
        var (id, logs, _) = await EndedAsync(Shell("echo \"$1\" > \"$2\"; cat >> \"$2\"", "rennes", _directory["told"]));
        Assert.Empty(logs);
        var told = (await File.ReadAllTextAsync(_directory["told"], Cancel)).Split('\n', 2);
        Assert.Equal("rennes", told[0]);
        var operation = JsonSerializer.Deserialize(told[1], RestJson.Default.OperationReply)!;
        Assert.Equal((id, "deploy", "alice", "partial", "debian12:1", "gris-[1-2]", 2), (operation.Id, operation.Kind, operation.Owner, operation.State, operation.Environment, operation.Nodes, operation.PerNode.Length));
    }

    [Fact]
    public async Task A_hook_that_fails_stands_in_the_logs_and_changes_nothing_not_even_for_the_next_hook()
    {
        var (_, logs, state) = await EndedAsync(
            Shell("echo no mail server >&2; exit 3"), new EndHook([_directory["missing"]], TimeSpan.FromMinutes(1)), Shell("echo came > \"$1\"", _directory["last"]));
        Assert.Equal(["hook_1", "hook_2"], logs.Select(l => l.Step));
        Assert.All(logs, l => Assert.Equal(EndHooks.Place, l.Node));
        Assert.Equal("/bin/sh ended with status 3\nno mail server", logs[0].Text);
        Assert.StartsWith($"{_directory["missing"]} could not be started", logs[1].Text, StringComparison.Ordinal);
        Assert.Equal(("came\n", WorkflowState.Partial), (await File.ReadAllTextAsync(_directory["last"], Cancel), state));
    }

    [Fact]
    public async Task A_hook_that_does_not_end_is_ended_when_its_time_is_over()
    {
        var (_, logs, _) = await EndedAsync(new EndHook(["/usr/bin/tail", "-f", "/dev/null"], TimeSpan.FromMilliseconds(1)));
        Assert.Contains("was ended after", Assert.Single(logs).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_configuration_names_hooks_with_their_time()
    {
        _directory.Write("ka.yaml", """
            server: { state: state, users: ["unix:/run/ka/kad.sock"] }
            boot: { dhcp: off }
            hooks:
              - command: [hooks/mail, --to, ops]
                timeout: 5m
              - command: []
            """);
        var finding = Assert.Single(SiteReader.Read(_directory["ka.yaml"]).Findings);
        Assert.Contains("the hook has no program", finding.Error.Message, StringComparison.Ordinal);
        _directory.Write("ka.yaml", "server: { state: state, users: [\"unix:/run/ka/kad.sock\"] }\nboot: { dhcp: off }\nhooks: [{ command: [hooks/mail, --to, ops], timeout: 5m }, { command: [/bin/true] }]\n");
        var hooks = SiteReader.Read(_directory["ka.yaml"]).Site!.Hooks;
        Assert.Equal([_directory["hooks/mail"], "--to", "ops"], hooks[0].Command);
        Assert.Equal((TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(1)), (hooks[0].Patience, hooks[1].Patience));
    }
}
