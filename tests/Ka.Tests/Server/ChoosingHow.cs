using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Protocol.Rest;
using Ka.Server.Api;
using Ka.Server.Configuration;
using Ka.Server.Environments;
using Ka.Simulation;

namespace Ka.Tests.Server;

/// <summary>What a deployment is asked to do otherwise than the cluster says.</summary>
public sealed class ChoosingHow : IDisposable
{
    static readonly Cluster Cluster = SimulatedDeployment.SampleCluster(["gris-1"]);

    readonly TemporaryDirectory _directory = new();
    readonly List<Fault> _faults = [];

    public void Dispose() => _directory.Dispose();

    Cluster Over(DeployBody body, Cluster? cluster = null) => DeployChoices.Over(cluster ?? Cluster, body, new FileStore(_directory["files"]), _faults);

    static readonly DeployBody Body = new("debian12", "gris-1", [], false);

    [Fact]
    public void Strategies_of_the_command_line_take_the_place_of_the_clusters_and_keep_what_they_do_not_say()
    {
        var asked = Over(Body with { Strategies = ["minimal-env=kexec,untrusted:1:90s", "boot=classical::5m"] });
        Assert.Empty(_faults);
        Assert.Equal([("kexec", 0, 120.0), ("untrusted", 1, 90.0)], asked.MinimalEnv.Select(s => (s.Do, s.Retries, s.Timeout.TotalSeconds)));
        Assert.Equal([("classical", 0, 300.0)], asked.Boot.Select(s => (s.Do, s.Retries, s.Timeout.TotalSeconds)));
        Assert.Equal(Cluster.Install, asked.Install);
    }

    [Theory]
    [InlineData("minimal-env=kexc", "did you mean 'kexec'?")]
    [InlineData("minimal=kexec", "names no macro step")]
    [InlineData("boot=classical:many", "retries are a number")]
    [InlineData("boot=classical:1:soon", "the timeout is a time")]
    [InlineData("boot", "names no macro step")]
    public void A_strategy_that_is_none_is_refused(string word, string why)
    {
        Over(Body with { Strategies = [word] });
        var fault = Assert.Single(_faults);
        Assert.Equal("strategy.invalid", fault.Code.Text);
        Assert.Contains(why, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Stragglers_are_treated_as_asked_for_and_else_as_the_cluster_says()
    {
        Assert.Equal(new StragglerRules(StragglerPolicy.Evict, 100_000_000), Over(Body with { Straggler = "evict", Floor = "100mbit" }).Broadcast.Stragglers);
        var site = Cluster with { Broadcast = BroadcastSettings.None with { Stragglers = new StragglerRules(StragglerPolicy.Keep, 1) } };
        Assert.Equal(new StragglerRules(StragglerPolicy.Keep, 1), Over(Body, site).Broadcast.Stragglers);
        Assert.Empty(_faults);
        Over(Body with { Straggler = "kill", Floor = "fast" });
        Assert.Equal(["request.invalid", "request.invalid"], _faults.Select(f => f.Code.Text));
    }

    [Fact]
    public void Without_kexec_the_first_one_goes_as_well_as_the_last()
    {
        var site = Cluster with { MinimalEnv = [.. Cluster.KnownMinimalEnv.Where(s => s.Do is "kexec" or "untrusted")] };
        var asked = Over(Body with { NoKexec = true }, site);
        Assert.DoesNotContain(asked.MinimalEnv.Concat(asked.Boot), s => s.Do == "kexec");
        Assert.Equal("untrusted", Over(Body with { NoKexec = true }, site with { MinimalEnv = [Cluster.KnownMinimalEnv[1]] }).MinimalEnv.Single().Do);
    }

    [Theory]
    [InlineData("ext4", "has no partition named 'tmp'")]
    [InlineData("swap", "is no file system")]
    [InlineData("1", "is no file system")]
    public void Tmp_is_made_anew_only_where_there_is_one(string fileSystem, string why)
    {
        Over(Body with { ReformatTmp = fileSystem });
        Assert.Contains(why, Assert.Single(_faults).Message, StringComparison.Ordinal);
    }

    const string Steps = """
        SetDeploymentEnvUntrusted:
          create_partition_table:
            override: true
            substitute:
              - name: my-table
                action: run
                file: parts.sh
                params: "-a b"
                timeout: 30
                retries: 2
                scattering: tree
        BroadcastEnv:
          sync:
            pre-ops:
              - action: exec
                command: echo "$KADEPLOY_ENV" > /mnt/dest/etc/env
              - { name: motd, action: send, file: motd, destination: $KADEPLOY_ENV_EXTRACTION_DIR/etc }
        """;

    [Fact]
    public void Kadeploys_custom_steps_are_read_as_they_are()
    {
        var (reading, errors) = OperationsReader.ReadDocument("steps.yaml", Steps);
        Assert.Empty(errors);
        var (table, echo, motd) = (reading!.Operations[0], reading.Operations[1], reading.Operations[2]);
        Assert.Equal(("my-table", "SetDeploymentEnv", "Untrusted", "partition", OperationPlace.Instead, OperationAction.Run), (table.Name, table.Macro, table.Strategy, table.Step, table.Place, table.Action));
        Assert.Equal(["-a", "b"], table.Arguments);
        Assert.Equal((30.0, 2), (table.Timeout.TotalSeconds, table.Retries));
        Assert.Equal((OperationAction.Exec, OperationPlace.Before, "BroadcastEnv", null), (echo.Action, echo.Place, echo.Macro, echo.Strategy));
        Assert.Equal(("motd", "$KADEPLOY_ENV_EXTRACTION_DIR/etc"), (motd.FileName, motd.Destination));
        Assert.Equal(new OperationOverride("SetDeploymentEnv", "Untrusted", "partition"), Assert.Single(reading.Overrides));
    }

    [Fact]
    public void An_override_takes_out_the_sites_operations_of_that_step_and_no_other()
    {
        var (reading, _) = OperationsReader.ReadDocument("steps.yaml", Steps);
        var site = reading!.Operations;
        var over = reading.Over([site[0] with { Name = "site-table" }, site[0] with { Name = "site-mount", Step = "mount" }]);
        Assert.Equal(["site-mount", "my-table", "broadcastenv-sync-2", "motd"], over.Select(o => o.Name));
    }

    [Theory]
    [InlineData("Deploy: {}", "is no macro step")]
    [InlineData("BroadcastEnv: {sync: {pre-ops: [{action: exec}]}}", "command")]
    [InlineData("BroadcastEnv: {sync: {pre-ops: [{command: ls}]}}", "no action")]
    [InlineData("BroadcastEnv: {sync: {pre-ops: [{action: send, file: a}]}}", "destination")]
    [InlineData("BroadcastEnv: {sync: {preops: []}}", "preops")]
    [InlineData("BroadcastEnv: {sync: {pre-ops: [{action: exec, command: ls, name: \"../x\"}]}}", "no name")]
    public void What_is_wrong_in_custom_steps_is_said_with_its_place(string text, string what)
    {
        var (reading, errors) = OperationsReader.ReadDocument("steps.yaml", text);
        Assert.Null(reading);
        Assert.Contains(errors, e => e.Message.Contains(what, StringComparison.Ordinal) && e.At.Line == 1);
    }

    [Fact]
    public void A_file_of_an_operation_that_was_not_sent_is_refused()
    {
        Over(Body with { CustomSteps = new ApplyBody("steps.yaml", Steps, ImmutableDictionary<string, string>.Empty) });
        Assert.Equal(["parts.sh", "motd"], _faults.Select(f => f.Message.Split('\'')[3]));
    }

    [Fact]
    public async Task What_a_site_names_is_kept_by_the_digest_of_its_bytes()
    {
        var files = new FileStore(_directory["files"]);
        var path = _directory.Write("post.tgz", "archive");
        var script = _directory.Write("pre.sh", "#!/bin/sh");
        var cluster = Cluster with
        {
            PostInstalls = [new PostInstall("post", path, ImageCompression.Gzip, null, ["run.sh"], TimeSpan.FromSeconds(1))],
            PreInstalls = [new PostInstall("pre", null, ImageCompression.None, script, [], TimeSpan.FromSeconds(1))],
            Operations = [OperationsReader.ReadDocument("s", "BroadcastEnv: {sync: {pre-ops: [{action: exec, command: \"echo hi\"}]}}").Reading!.Operations[0]],
        };
        var (kept, fault) = await SiteScripts.KeepAsync(cluster, files, TestContext.Current.CancellationToken);
        Assert.Null(fault);
        Assert.Equal("archive", File.ReadAllText(files.PathOf(kept.PostInstalls[0].ArchiveSha256!)));
        Assert.Equal("#!/bin/sh", File.ReadAllText(files.PathOf(kept.PreInstalls[0].ScriptSha256!)));
        Assert.Equal("#!/bin/sh\necho hi\n", File.ReadAllText(files.PathOf(kept.Operations[0].File!)));
        Assert.Equal("config.invalid", (await SiteScripts.KeepAsync(cluster with { PreInstalls = [cluster.PreInstalls[0] with { ScriptSha256 = _directory["gone"] }] }, files, TestContext.Current.CancellationToken)).Fault!.Code.Text);
    }

    [Fact]
    public void An_environments_pre_install_and_variables_are_read()
    {
        var (description, errors) = DescriptionReader.Read("e.yaml", """
            name: e
            image: {file: e.tar}
            preinstall: {archive: pre.tgz, script: prepare.sh -x}
            custom_variables: {SITE: nancy, DISKS: 2}
            """);
        Assert.Empty(errors);
        Assert.Equal(["prepare.sh", "-x"], description!.PreInstall!.Command);
        Assert.Contains(description.Files, f => f.Path == "pre.tgz");
        Assert.Equal([("DISKS", "2"), ("SITE", "nancy")], description.Variables.Select(v => (v.Key, v.Value)));
    }

    [Theory]
    [InlineData("KADEPLOY_ENV", "Ka's or the system's own")]
    [InlineData("LD_PRELOAD", "Ka's or the system's own")]
    [InlineData("a-b", "no name of a variable")]
    public void A_variable_that_would_mislead_scripts_is_refused(string name, string why)
    {
        var (description, errors) = DescriptionReader.Read("e.yaml", $"name: e\nimage: {{file: e.tar}}\ncustom_variables: {{{name}: x}}\n");
        Assert.Null(description);
        Assert.Contains(why, Assert.Single(errors, e => e.Severity == Severity.Error).Message, StringComparison.Ordinal);
    }
}
