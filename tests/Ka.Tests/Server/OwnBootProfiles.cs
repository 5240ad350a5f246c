using System.Collections.Immutable;
using System.Net;
using System.Text;
using System.Text.Json;
using Ka.Core.BootProfiles;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Engine.Planning;
using Ka.Engine.Ports;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Agents;
using Ka.Server.Boot;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Server.Workflows;
using Ka.Simulation;
using Ka.Store;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Ka.Tests.Server;

/// <summary>A kernel of the user's own that nodes boot at the end of a deployment, and from then on.</summary>
public sealed class OwnBootProfiles : IDisposable
{
    static readonly ProfileTemplate Template = new("b.yaml", new("./vmlinuz", new string('a', 64), 9), null, "root=/dev/vda2 hostname={{ node.short }}", "b.yaml:2:9");
    static readonly Cluster Cluster = SimulatedDeployment.SampleCluster(["gris-1", "gris-2"]);

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    static PlanOutcome Plan(ProfileTemplate profile, Cluster? cluster = null) =>
        Planner.Plan(new DeployRequest(SimulatedDeployment.SampleEnvironment, cluster ?? Cluster, Cluster.Nodes, WithKeys: true, DiskBytes: null) { Options = new DeployOptions { Profile = profile } });

    [Fact]
    public void A_profile_is_booted_by_the_firmware_and_never_by_kexec()
    {
        foreach (var cluster in (Cluster[])[Cluster, Cluster with { Boot = [Cluster.Boot[0]] }])
        {
            var boots = Plan(Template, cluster).Plan!.MacroSteps[2].Strategies;
            Assert.Equal(["Classical", "HardReboot"], boots.Select(s => s.Name));
            Assert.All(boots, s => Assert.Equal("boot_profile", s.Steps[0].Name));
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData(9)]
    [InlineData(20)]
    public void Machines_end_with_the_profile_also_when_the_server_dies_on_the_way(int? crashAfter)
    {
        var end = (Engine.Simulated.Cluster("gris-[1-3]") with { Options = new DeployOptions { Profile = Template }, CrashAfter = crashAfter }).Deploy().ShouldFinish(ok: "gris-[1-3]").EveryNodeEndsOnce();
        Assert.All(end.Outcome.Ok, n => Assert.Equal(BootChoice.Profile, end.Outcome.World.BootsNext(n)));
    }

    [Theory]
    [InlineData("x={{ var.GATE }}", "b.yaml:2:9: params, line 1, column 3: 'var.GATE' is not known")]
    [InlineData("x=${net0/ip}", "b.yaml:2:9: params: '${' may not stand")]
    [InlineData("a\nchain", "U+000A")]
    [InlineData("initrd=other", "boot loader's own parameter")]
    [InlineData("a=\"b", "a double quote is not closed")]
    public void A_kernel_line_that_does_not_come_out_is_refused_once_for_all_nodes(string line, string why)
    {
        var fault = Assert.Single(Plan(Template with { Params = line }).Faults);
        Assert.Equal("profile.invalid", fault.Code.Text);
        Assert.Contains(why, fault.Message, StringComparison.Ordinal);
        Assert.Equal("on gris-1", fault.Evidence);
    }

    [Fact]
    public void A_value_of_one_node_is_checked_on_that_node()
    {
        var odd = Cluster with { Nodes = [Cluster.Nodes[0], Cluster.Nodes[1] with { Rack = "é" }] };
        var outcome = Planner.Plan(new DeployRequest(SimulatedDeployment.SampleEnvironment, odd, odd.Nodes, true, null) { Options = new DeployOptions { Profile = Template with { Params = "rack={{ node.rack }}" } } });
        Assert.Equal("on gris-2", Assert.Single(outcome.Faults).Evidence);
    }

    [Theory]
    [InlineData("initrd: i\n", 1, "lacks the key 'kernel'")]
    [InlineData("kernel: k\nparam: x\n", 2, "did you mean 'params'?")]
    [InlineData("kernel: k\nparams: \"a={{ node.nane }}\"\n", 2, "line 1, column 3 of the template: 'node.nane' is not known, did you mean 'node.name'?")]
    [InlineData("kernel: k\nparams: \"a={{ node.name\"\n", 2, "is not closed")]
    [InlineData("kernel: [\n", 2, "")]
    public void What_is_wrong_in_a_profile_is_said_at_its_place(string text, int line, string why)
    {
        var (reading, errors) = BootProfileReader.Read("b.yaml", text);
        Assert.Null(reading);
        Assert.Contains(errors, e => e.At.Line == line && e.Render(text).Contains(why, StringComparison.Ordinal));
    }

    [Fact]
    public void A_profile_may_fold_its_line_and_names_each_file_once()
    {
        var (reading, errors) = BootProfileReader.Read("b.yaml", "kernel: k\ninitrd: k\nparams: >\n  quiet\n  ip={{node.address}}\n");
        Assert.Empty(errors);
        Assert.Equal("quiet ip={{node.address}}", reading!.Params);
        Assert.Equal(["k"], reading.Paths);
    }

    [Theory]
    [InlineData("gris-1", null, true)]
    [InlineData("", null, false)]
    [InlineData("gris-1", "BootNewEnv", false)]
    public void A_summary_names_the_profile_only_where_nodes_boot_it(string ok, string? breakpoint, bool named)
    {
        var operation = new OperationReply("D-A", "deploy", "root", "done", "e:1", "gris-1", 1, ok, "", default, null, 1, [], []) { BootProfile = "b.yaml", Breakpoint = breakpoint };
        Assert.Equal(named, string.Join('\n', Ka.Cli.Commands.Summary.Lines(operation)).Contains("boot b.yaml from the network until another deployment", StringComparison.Ordinal));
    }

    [Fact]
    public void A_profile_stays_over_the_end_of_its_workflow_and_a_restart_until_another_choice()
    {
        using var database = new Database(_directory["ka.db"]);
        var (table, workflows) = (new NodeTable(database), new WorkflowTable(database));
        var options = new DeployOptions { Profile = Template };
        var workflow = new Workflow("D-AAAAAA", WorkflowKind.Deploy, "root", SimulatedDeployment.SampleEnvironment, Cluster, [], DateTimeOffset.UnixEpoch) { Options = options };
        var fence = workflows.Accept(workflow).Fence;
        var read = workflows.Find("D-AAAAAA")!.Workflow;
        Assert.Equal(options, read.Options);
        Assert.Equal("boot_profile", OperationFold.PlanOf(read).MacroSteps[2].Strategies[0].Steps[0].Name);

        var boots = Boots();
        boots.Choose("D-AAAAAA", ["gris-1", "gris-2"], BootChoice.Minimal);
        Assert.Null(boots.WishOf("gris-1").Profile);
        boots.Choose("D-AAAAAA", ["gris-1", "gris-2"], BootChoice.Profile, [.. ((string[])["gris-1", "gris-2"]).Select(n => new NodeProfile(n, "D-AAAAAA", new string('a', 64), null, $"hostname={n}"))]);
        Expect(boots, "hostname=gris-1");
        boots = Boots();
        boots.Restore("D-AAAAAA", ["gris-1", "gris-2"]);
        Expect(boots, "hostname=gris-1");
        Assert.Equal("D-AAAAAA", boots.ForgetProfiles(["gris-1"]).Busy.Single().Workflow);
        boots.Forget("D-AAAAAA");
        workflows.End("D-AAAAAA", WorkflowState.Done, fence, DateTimeOffset.UnixEpoch);
        Expect(boots, "hostname=gris-1");
        Expect(boots = Boots(), "hostname=gris-1");

        workflows.Accept(workflow with { Id = "D-BBBBBB" });
        boots.Choose("D-BBBBBB", ["gris-1"], BootChoice.Minimal);
        boots.Forget("D-BBBBBB");
        Assert.Equal(["gris-2"], table.BootProfiles().Select(p => p.Node));
        foreach (var now in (NodeBoots[])[boots, Boots()])
            Assert.Equal((BootChoice.LocalDisk, BootChoice.Profile), (now.WishOf("gris-1").Choice, now.WishOf("gris-2").Choice));

        NodeBoots Boots() => new(new NodeTable(database), new AgentHub(table, ServerSecrets.Open(_directory["state"]), TimeProvider.System, NullLogger<AgentHub>.Instance), TimeProvider.System);

        static void Expect(NodeBoots boots, string line) => Assert.Equal((BootChoice.Profile, line), (boots.WishOf("gris-1").Choice, boots.WishOf("gris-1").Profile?.Params));
    }
}

/// <summary>The same through the server's own doors.</summary>
public sealed class OwnBootProfilesByRest(RunningServer server) : IClassFixture<RunningServer>
{
    static readonly byte[] Kernel = Encoding.ASCII.GetBytes("a kernel");

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    async Task<HttpResponseMessage> DeployAsync(string nodes, string parameters, bool dryRun, bool sent = true)
    {
        await server.SendAsync(Kernel);
        var files = sent ? ImmutableDictionary<string, string>.Empty.Add("./vmlinuz", RunningServer.Digest(Kernel)) : ImmutableDictionary<string, string>.Empty;
        var body = new DeployBody("debian12", nodes, [], dryRun) { BootProfile = new ApplyBody("b.yaml", $"kernel: ./vmlinuz\nparams: \"{parameters}\"\n", files) };
        return await server.PostAsync("deployments", JsonSerializer.Serialize(body, RestJson.Default.DeployBody));
    }

    /// <summary>Begins a deployment and waits for its first reset, which never ends: it chooses nothing more by itself.</summary>
    async Task<OperationReply> BeginAsync(string node, string parameters)
    {
        var reply = await DeployAsync(node, parameters, dryRun: false);
        var operation = JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        while (JsonSerializer.Deserialize(await server.Http.GetStringAsync($"operations/{operation.Id}", Cancel), RestJson.Default.OperationReply)!.PerNode[0].Step != "reboot")
            await Task.Yield();
        return operation;
    }

    [Fact]
    public async Task A_dry_run_shows_the_files_and_the_line_of_a_node_and_leaves_kexec_out()
    {
        var reply = await DeployAsync("gris-[5-6]", "ip={{ node.address }}", dryRun: true);
        var plan = JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.PlanReply)!;
        Assert.Equal(("gris-5", "ip=10.0.0.5", null), (plan.BootProfile!.Node, plan.BootProfile.Params, plan.BootProfile.Initrd));
        Assert.Equal(new PlannedFile("./vmlinuz", RunningServer.Digest(Kernel), Kernel.Length), plan.BootProfile.Kernel);
        Assert.Contains(plan.LeftOut, l => l.StartsWith("kexec", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_server_says_which_files_a_profile_names()
    {
        var asked = JsonSerializer.Serialize(new ApplyBody("b.yaml", "kernel: k\ninitrd: i\n", ImmutableDictionary<string, string>.Empty), RestJson.Default.ApplyBody);
        var reply = await server.PostAsync("deployments/boot-profile/files", asked);
        Assert.Equal(["k", "i"], JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.DescriptionFiles)!.Paths);
        var problem = await RunningServer.ProblemOf(await server.PostAsync("deployments/boot-profile/files", asked.Replace("kernel", "kernle", StringComparison.Ordinal)));
        Assert.Equal("profile.invalid", problem.Code);
        Assert.Contains(problem.Errors!.Value, e => e.Pointer == "b.yaml:1:1");
    }

    [Theory]
    [InlineData("quiet", false, "b.yaml:1:9: the file './vmlinuz' was not sent")]
    [InlineData("a={{ node.nane }}", true, "did you mean 'node.name'?")]
    [InlineData("a=${b}", true, "b.yaml:2:9: params: '${' may not stand")]
    public async Task A_profile_that_cannot_be_booted_is_refused_before_anything_is_done(string parameters, bool sent, string why)
    {
        var problem = await RunningServer.ProblemOf(await DeployAsync("gris-7", parameters, dryRun: false, sent));
        Assert.Equal((422, "profile.invalid"), (problem.Status, problem.Code));
        Assert.Contains(why, problem.Detail, StringComparison.Ordinal);
        Assert.DoesNotContain("gris-7", await server.Http.GetStringAsync("operations", Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_boots_the_files_of_the_profile_until_it_is_forgotten()
    {
        var operation = await BeginAsync("gris-3", "hostname={{ node.name }}");
        Assert.Equal("b.yaml", operation.BootProfile);
        var services = server.App.Services;
        var port = new BootPort(services.GetRequiredService<WorkflowTable>().Find(operation.Id)!.Workflow, services.GetRequiredService<NodeBoots>());
        await foreach (var chosen in port.ChooseAsync(Core.Nodes.NodeBits.Of(0), BootChoice.Profile, new AttemptId(operation.Id, 1, 1, false), Cancel))
            Assert.True(chosen.Ok);
        Assert.True(services.GetRequiredService<BootDirectory>().TryFindByMac(MacAddress.Parse("52:54:00:00:00:03"), out var node));
        var custom = Assert.IsType<BootProfile.Custom>(node.Profile);
        Assert.Equal(("a kernel", null, "hostname=gris-3"), (await File.ReadAllTextAsync(custom.KernelPath, Cancel), custom.InitrdPath, custom.Parameters.ToString()));
        Assert.Equal(operation.Id, (await NodeAsync()).BootProfile?.Operation);

        Assert.Equal(HttpStatusCode.Conflict, (await server.Http.DeleteAsync("nodes/boot-profile?nodes=gris-[3-4]", Cancel)).StatusCode);
        await server.PostAsync($"operations/{operation.Id}/cancel", "{}");
        while ((await NodeAsync()).Operation is not null)
            await Task.Yield();
        // A deployment that did not come to its end leaves no profile.
        Assert.Null((await NodeAsync()).BootProfile);

        services.GetRequiredService<NodeTable>().SetBoot(operation.Id, ["gris-3"], [], [new NodeProfile("gris-3", operation.Id, RunningServer.Digest(Kernel), null, "quiet")]);
        var forgotten = await server.Http.DeleteAsync("nodes/boot-profile?nodes=gris-[3,5]", Cancel);
        Assert.Equal(new ForgottenReply("gris-3", 1), JsonSerializer.Deserialize(await forgotten.Content.ReadAsStringAsync(Cancel), RestJson.Default.ForgottenReply));
        Assert.True(services.GetRequiredService<BootDirectory>().TryFindByMac(MacAddress.Parse("52:54:00:00:00:03"), out node));
        Assert.IsType<BootProfile.LocalDisk>(node.Profile);
        Assert.Null((await NodeAsync()).BootProfile);
        Assert.Equal("nodes.empty", (await RunningServer.ProblemOf(await server.Http.DeleteAsync("nodes/boot-profile?nodes=gris-1!gris-1", Cancel))).Code);
        Assert.Equal("nodes.unknown", (await RunningServer.ProblemOf(await server.Http.DeleteAsync("nodes/boot-profile?nodes=gris-99", Cancel))).Code);

        async Task<NodeReply> NodeAsync() => JsonSerializer.Deserialize(await server.Http.GetStringAsync("nodes/gris-3", Cancel), RestJson.Default.NodeReply)!;
    }

    [Fact]
    public async Task A_file_that_a_node_still_boots_outlives_the_environment_that_had_it()
    {
        byte[] image = [.. RunningServer.Image(), .. new byte[10240]];
        await server.SendAsync(image);
        Assert.Equal(HttpStatusCode.Created, (await server.ApplyAsync(RunningServer.Description.Replace("name: debian12", "name: twin", StringComparison.Ordinal), image)).StatusCode);
        var operation = await BeginAsync("gris-4", "quiet");
        var digest = RunningServer.Digest(image);
        server.App.Services.GetRequiredService<NodeBoots>().Choose(operation.Id, ["gris-4"], BootChoice.Profile, [new NodeProfile("gris-4", operation.Id, digest, null, "quiet")]);
        Assert.Equal(HttpStatusCode.NoContent, (await server.Http.DeleteAsync("environments/twin/1", Cancel)).StatusCode);
        Assert.Contains(server.Stored(), f => Path.GetFileName(f) == digest);
    }
}
