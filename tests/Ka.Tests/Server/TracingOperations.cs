using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Core.NodeSets;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Server.Telemetry;
using Ka.Simulation;
using Ka.Store;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using OpenTelemetry.Exporter;

namespace Ka.Tests.Server;

/// <summary>Traces: the fold of the journal, and how a collector is told.</summary>
public sealed class TracingOperations : IDisposable
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    static (Workflow Workflow, ImmutableArray<JournalEntry> Journal) Deploy(string nodes, int? crashAfter = null, string? cancelBy = null, params string[] faults)
    {
        var roster = new Roster([.. NodeSet.Parse(nodes).Select(n => n.Value)]);
        Assert.True(FaultPlan.TryParse(faults, roster, out var plan, out var error), error);
        var cluster = SimulatedDeployment.SampleCluster(roster.Names);
        var journal = SimulatedDeployment.Run(roster, 1, SimulatedHardware.Sound, plan, cluster, crashAfter, cancelBy).Journal;
        // As the simulation plans it: with keys, and the disk read back.
        return (new Workflow("D-1", WorkflowKind.Deploy, "alice", SimulatedDeployment.SampleEnvironment, cluster, ["ssh-ed25519 AAAA me"], journal[0].At, Ka.Core.Environments.VerifyMode.Sample), journal);
    }

    static IEnumerable<OperationSpan> OfNode(OperationSpan whole, string node) => whole.Children.Where(c => (string?)c["ka.node"] == node);

    [Fact]
    public void Every_node_has_its_macro_steps_and_below_them_its_steps_by_the_times_of_the_journal()
    {
        var (workflow, journal) = Deploy("gris-[1-4]", faults: ["gris-2 has a bad disk", "gris-3 ignores soft reboot"]);
        var whole = SpanFold.Of(workflow, journal)!;
        Assert.Equal(("deploy", journal[0].At, journal[^1].At, "partial", 4, 1), (whole.Name, whole.From, whole.Until, whole["ka.state"], whole["ka.nodes"], whole["ka.nodes.failed"]));
        Assert.NotNull(whole.Fault);
        Assert.Equal(["SetDeploymentEnv", "BroadcastEnv", "BootNewEnv"], OfNode(whole, "gris-1").Select(m => m.Name));
        foreach (var macro in whole.Children)
        {
            Assert.True(macro.Children.All(s => s.From >= macro.From && s.Until <= macro.Until && s.Until >= s.From), macro.Name);
            Assert.Equal(macro.Children.OrderBy(s => s.From), macro.Children);
        }
        var failed = Assert.Single(OfNode(whole, "gris-2"));
        Assert.Equal("disk.io_error", failed.Fault!.Value.Code);
        var tries = failed.Children.Where(s => s.Name == "partition").ToArray();
        Assert.All(tries, t => Assert.Equal(("disk.io_error", "failed", "disk.io_error"), (t.Fault!.Value.Code, t["ka.state"], t["error.type"])));
        Assert.Equal([1, 2, 3], tries.Select(t => t["ka.attempt"]));
        Assert.Contains(OfNode(whole, "gris-3").First().Children, s => s.Fault is not null);
        Assert.Null(OfNode(whole, "gris-3").First().Fault);
    }

    [Fact]
    public void A_deployment_that_went_on_after_a_crash_of_the_server_has_one_whole_trace()
    {
        var (workflow, journal) = Deploy("gris-[1-4]", crashAfter: 7);
        var whole = SpanFold.Of(workflow, journal)!;
        Assert.Equal(4 * 3, whole.Children.Length);
        Assert.Null(whole.Fault);
        foreach (var node in workflow.NodeNames)
            Assert.Equal(["SetDeploymentEnv", "BroadcastEnv", "BootNewEnv"], OfNode(whole, node).Select(m => m.Name));
        Assert.Null(SpanFold.Of(workflow, journal.Take(7)));
    }

    [Fact]
    public void What_a_cancellation_ended_says_so()
    {
        var (workflow, journal) = Deploy("gris-[1-2]", cancelBy: "alice");
        var whole = SpanFold.Of(workflow, journal)!;
        Assert.All(whole.Children, m => Assert.Equal(("operation.cancelled", "cancelled"), (m.Fault!.Value.Code, m["ka.state"])));
        Assert.All(whole.Children, m => Assert.Equal("operation.cancelled", m.Children[^1].Fault!.Value.Code));
    }

    /// <summary>Tells the trace of a workflow that has ended, and gives what the server's log says.</summary>
    async Task<string> TellAsync(OtlpSettings? settings, Workflow workflow, ImmutableArray<JournalEntry> journal, Func<Task> meanwhile)
    {
        using var database = new Database(_directory["ka.db"]);
        var (workflows, entries, log) = (new WorkflowTable(database), new Journal(database), new TextLog());
        var (fence, _) = workflows.Accept(workflow);
        await entries.AppendAsync(workflow.Id, journal, Cancel);
        workflows.End(workflow.Id, WorkflowState.Partial, fence, journal[^1].At);
        var site = new Site(new SiteConfiguration("rennes", _directory["state"], [], null!, null!, null!, [], GroupTable.Empty, 100) { Otlp = settings });
        using var traces = new OperationTraces(site, workflows, entries, log);
        await traces.StartAsync(Cancel);
        traces.Begin(workflow.Id);
        await traces.StopAsync(Cancel);
        await meanwhile();
        return log.ToString();
    }

    [Fact]
    public async Task The_collector_gets_the_spans_of_a_deployment_with_parents_times_and_status_and_the_headers_stand_in_no_log()
    {
        await using var receiver = new OtlpReceiver();
        _directory.Write("headers", "# the collector's key\nx-key: s3cret with=signs\n");
        var (workflow, journal) = Deploy("gris-[1-2]", faults: ["gris-2 has a bad disk"]);
        journal = [.. journal.Select(e => e with { At = DateTimeOffset.FromUnixTimeMilliseconds(e.At.ToUnixTimeMilliseconds()) })];
        var whole = SpanFold.Of(workflow, journal)!;
        var expected = 1 + whole.Children.Length + whole.Children.Sum(c => c.Children.Length);
        var said = await TellAsync(
            new OtlpSettings(await receiver.StartAsync(), OtlpExportProtocol.HttpProtobuf, _directory["headers"]), workflow, journal, () => receiver.WhenAsync(expected));
        var spans = receiver.Received.ToArray();
        Assert.Equal(expected, spans.Length);
        Assert.All(receiver.Requests, r => Assert.Equal(("/v1/traces", "s3cret with=signs"), r));
        Assert.Equal([OperationTraces.TraceOf("rennes", "D-1").ToHexString()], spans.Select(s => s.Trace).Distinct());
        var root = Assert.Single(spans, s => s.Parent.Length == 0);
        Assert.Equal(("deploy", whole.From, whole.Until, 2, "D-1"), (root.Name, root.From, root.Until, root.Status, root.Attributes["ka.operation"]));
        var macro = Assert.Single(spans, s => s.Name == "SetDeploymentEnv" && s.Attributes["ka.node"] == "gris-2");
        Assert.Equal(root.Id, macro.Parent);
        var tries = spans.Where(s => s.Name == "partition" && s.Parent == macro.Id).OrderBy(s => s.From).ToArray();
        Assert.Equal(["1", "2", "3"], tries.Select(t => t.Attributes["ka.attempt"]));
        var from = whole.Children.Single(c => (string?)c["ka.node"] == "gris-2").Children.First(s => s.Name == "partition");
        Assert.Equal((from.From, from.Until, 2, from.Fault!.Value.Message), (tries[0].From, tries[0].Until, tries[0].Status, tries[0].Message));
        Assert.Contains("the traces of operations go to http://127.0.0.1", said);
        Assert.DoesNotContain("s3cret", said);
    }

    [Fact]
    public async Task Without_the_option_no_span_is_made()
    {
        var made = 0;
        using var listener = new ActivityListener
        {
            ShouldListenTo = s => s.Name == OperationTraces.SourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> options) => Counted(options.TraceId),
        };
        ActivitySource.AddActivityListener(listener);
        var (workflow, journal) = Deploy("gris-[1-2]");
        await TellAsync(null, workflow with { Id = "D-untold" }, journal, () => Task.CompletedTask);
        Assert.Equal(0, made);

        ActivitySamplingResult Counted(ActivityTraceId trace)
        {
            if (trace == OperationTraces.TraceOf("rennes", "D-untold"))
                Interlocked.Increment(ref made);
            return ActivitySamplingResult.None;
        }
    }

    /// <summary>A server whose collector takes what it gets and never answers.</summary>
    sealed class TracedServer(OtlpReceiver receiver) : RunningServer
    {
        protected override async Task<OtlpSettings?> OtlpAsync() => new(await receiver.StartAsync(), OtlpExportProtocol.HttpProtobuf, null);
    }

    [Fact]
    public async Task Operations_end_while_their_collector_hangs_and_it_has_got_their_first_trace()
    {
        await using var receiver = new OtlpReceiver(answers: false);
        await using var server = new TracedServer(receiver);
        await server.InitializeAsync();
        for (var i = 0; i < 2; i++)
        {
            var accepted = await server.PostAsync("power", """{"nodes":"rouge-1","action":"on","level":"hard","dryRun":false}""");
            Assert.Equal(HttpStatusCode.Created, accepted.StatusCode);
            var id = JsonSerializer.Deserialize(await accepted.Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!.Id;
            while (JsonSerializer.Deserialize(await server.Http.GetStringAsync("operations/" + id, Cancel), RestJson.Default.OperationReply)!.State == "running")
                await Task.Yield();
        }
        var spans = await receiver.WhenAsync(3);
        Assert.Contains(spans, s => s is { Name: "power", Status: 1 } && s.Attributes["ka.state"] == "ok");
    }

    [Theory]
    [InlineData("endpoint: 'https://otel.example.org:4318', protocol: http/protobuf, headers-file: headers", null)]
    [InlineData("endpoint: 'http://localhost:4317'", null)]
    [InlineData("protocol: grpc", "lacks the key 'endpoint'")]
    [InlineData("endpoint: 'http://otel.example.org:4318'", "what goes to another machine is not encrypted")]
    [InlineData("endpoint: 'https://user:secret@otel.example.org'", "is no address of a collector")]
    [InlineData("endpoint: otel.example.org", "is no address of a collector")]
    [InlineData("endpoint: 'https://otel.example.org', protocol: json", "is no protocol of OTLP")]
    [InlineData("endpoint: 'https://otel.example.org', headers-file: missing", "missing does not exist")]
    [InlineData("endpoint: 'https://otel.example.org', headers-file: open", "can be read by everybody")]
    [InlineData("endpoint: 'https://otel.example.org', headers-file: wrong", "line 2 is not NAME: VALUE")]
    public void The_configuration_names_a_collector_and_what_is_wrong_with_it(string otlp, string? refusal)
    {
        _directory.Write("headers", "x-key: s3cret\n");
        _directory.Write("wrong", "x-key: s3cret\ns3cret\n");
        _directory.Write("open", "x-key: s3cret\n");
        File.SetUnixFileMode(_directory["headers"], UnixFileMode.UserRead);
        File.SetUnixFileMode(_directory["wrong"], UnixFileMode.UserRead);
        File.SetUnixFileMode(_directory["open"], UnixFileMode.UserRead | UnixFileMode.OtherRead);
        _directory.Write("ka.yaml", $$"""
            server: { state: state, users: ["unix:/run/ka/kad.sock"] }
            boot: { dhcp: off }
            telemetry: { otlp: { {{otlp}} } }
            """);
        var reading = SiteReader.Read(_directory["ka.yaml"]);
        Assert.Equal(refusal is null, reading.Site?.Otlp is not null);
        if (refusal is not null)
            Assert.Contains(refusal, Assert.Single(reading.Findings).ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("s3cret", string.Concat(reading.Findings.Select(f => f.Error.ToString())));
    }

    sealed class TextLog : ILogger<OperationTraces>
    {
        readonly System.Collections.Concurrent.ConcurrentQueue<string> _lines = new();

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => _lines.Enqueue(formatter(state, exception));

        public override string ToString() => string.Join('\n', _lines);
    }
}
