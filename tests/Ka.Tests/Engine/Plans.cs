using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Core.Nodes;
using Ka.Engine.Automata;
using Ka.Engine.Planning;
using Ka.Simulation;

namespace Ka.Tests.Engine;

public class Plans
{
    static readonly Roster Roster = new(["gris-1", "gris-2"]);
    static readonly Cluster Cluster = SimulatedDeployment.SampleCluster(Roster.Names);

    static Plan PlanOf(Cluster? cluster = null, OsEnvironment? environment = null, DeployOptions? options = null) =>
        SimulatedDeployment.PlanFor(Roster, cluster ?? Cluster, environment, options);

    static PlanOutcome Try(Cluster? cluster = null, DeployOptions? options = null) =>
        Planner.Plan(new DeployRequest(SimulatedDeployment.SampleEnvironment, cluster ?? Cluster, Cluster.Nodes, WithKeys: true, DiskBytes: null) { Options = options ?? DeployOptions.Default });

    static string[] Steps(Plan plan, int macro, int strategy = 0) => [.. plan.MacroSteps[macro].Strategies[strategy].Steps.Select(s => s.Name)];

    static StrategySettings Known(string name) => Cluster.KnownMinimalEnv.Single(s => s.Do == name);

    static CustomOperation Operation(string step, OperationPlace place = OperationPlace.Before, string macro = "SetDeploymentEnv", string? strategy = null, int retries = 0) =>
        new("mine", macro, strategy, step, place, OperationAction.Exec, "true", "sha", null, [], null, TimeSpan.FromSeconds(60), retries);

    static PostInstall Script(string name) => new(name, null, ImageCompression.None, "sha", [], TimeSpan.FromSeconds(10));

    [Theory]
    [InlineData("kexec", "boot_minimal kexec_minimal await_agent keys_minimal partition format mount")]
    [InlineData("trusted", "boot_minimal start_agent await_agent keys_minimal partition format mount")]
    [InlineData("prod", "boot_minimal start_agent await_agent format mount")]
    public void A_strategy_without_firmware_resets_nothing(string strategy, string steps) =>
        Assert.Equal(steps.Split(' '), Steps(PlanOf(Cluster with { MinimalEnv = [Known(strategy)] }), 0));

    [Fact]
    public void Only_linux_is_started_by_kexec()
    {
        var xen = SimulatedDeployment.SampleEnvironment with { Os = "xen" };
        Assert.Equal(["Classical", "HardReboot"], PlanOf(environment: xen).MacroSteps[2].Strategies.Select(s => s.Name));
        Assert.Equal(["Classical", "HardReboot"], PlanOf(Cluster with { Boot = [Cluster.Boot[0]] }, xen).MacroSteps[2].Strategies.Select(s => s.Name));
    }

    [Fact]
    public void The_environments_pre_install_prepares_the_disk_in_place_of_the_layout() =>
        Assert.Equal(
            ["pre_install", "mount"],
            Steps(PlanOf(environment: SimulatedDeployment.SampleEnvironment with { PreInstall = Script("own") }), 0).Skip(4));

    [Fact]
    public void The_sites_pre_installs_come_before_the_partition_table() =>
        Assert.Equal(["site_pre_install", "partition", "format", "mount"], Steps(PlanOf(Cluster with { PreInstalls = [Script("raid")] }), 0).Skip(4));

    [Fact]
    public void Partitioning_and_bootloader_can_be_left_out()
    {
        var plan = PlanOf(options: new DeployOptions { Partitioning = false, Bootloader = false });
        Assert.Equal(["format", "mount"], Steps(plan, 0).Skip(4));
        Assert.DoesNotContain("bootloader", Steps(plan, 1));
    }

    [Theory]
    [InlineData(OperationPlace.Before, "keys_minimal custom.mine partition format")]
    [InlineData(OperationPlace.After, "keys_minimal partition custom.mine format")]
    [InlineData(OperationPlace.Instead, "keys_minimal custom.mine format mount")]
    public void An_operation_stands_where_it_was_put(OperationPlace place, string steps) =>
        Assert.Equal(steps.Split(' '), Steps(PlanOf(Cluster with { Operations = [Operation("partition", place)] }), 0).Skip(3).Take(4));

    [Theory]
    [InlineData(OperationPlace.Before, "custom.mine send_image verify identity")]
    [InlineData(OperationPlace.After, "send_image verify custom.mine identity")]
    [InlineData(OperationPlace.Instead, "custom.mine identity")]
    public void Nothing_comes_between_the_image_and_its_check_and_without_the_image_there_is_none(OperationPlace place, string steps)
    {
        var has = Steps(PlanOf(Cluster with { Operations = [Operation("send_image", place, "BroadcastEnv")] }), 1).Skip(1);
        Assert.Equal(steps.Split(' '), has.Take(steps.Split(' ').Length));
        Assert.Equal(place != OperationPlace.Instead, has.Contains("verify"));
    }

    [Theory]
    [InlineData(VerifyMode.None, "reformat send_image identity")]
    [InlineData(VerifyMode.Full, "reformat send_image verify")]
    public void The_disk_is_checked_before_anything_else_is_written(VerifyMode mode, string steps) =>
        Assert.Equal(
            steps.Split(' '),
            Steps(Planner.Plan(new DeployRequest(SimulatedDeployment.SampleEnvironment, Cluster, Cluster.Nodes, WithKeys: true, DiskBytes: null, mode)).Plan!, 1).Take(3));

    [Fact]
    public void An_operation_of_one_strategy_is_in_no_other()
    {
        var cluster = Cluster with { MinimalEnv = [Known("kexec"), Known("untrusted")], Operations = [Operation("format", strategy: "Untrusted")] };
        Assert.DoesNotContain("custom.mine", Steps(PlanOf(cluster), 0, 0));
        Assert.Contains("custom.mine", Steps(PlanOf(cluster), 0, 1));
    }

    [Theory]
    [InlineData("SetDeploymentEnv", "reboot", OperationPlace.Before, "no agent answers before reboot")]
    [InlineData("SetDeploymentEnv", "await_agent", OperationPlace.Instead, "no agent answers instead await_agent")]
    [InlineData("BootNewEnv", "await_deployed", OperationPlace.After, "no agent answers after await_deployed")]
    [InlineData("SetDeploymentEnv", "partitoin", OperationPlace.Before, "did you mean 'partition'?")]
    [InlineData("BroadcastEnf", "keys", OperationPlace.Before, "there is no macro step 'BroadcastEnf'")]
    public void An_operation_where_no_agent_answers_is_refused_with_the_reason(string macro, string step, OperationPlace place, string why)
    {
        var outcome = Try(Cluster with { Operations = [Operation(step, place, macro)] });
        Assert.Null(outcome.Plan);
        Assert.Equal("operation.invalid", Assert.Single(outcome.Faults).Code.Text);
        Assert.Contains(why, outcome.Faults[0].Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_reset_from_outside_waits_for_no_operation()
    {
        var plan = PlanOf(Cluster with { Operations = [Operation("boot_local_disk", macro: "BootNewEnv")] });
        Assert.Equal("custom.mine", Steps(plan, 2)[0]);
        Assert.DoesNotContain("custom.mine", Steps(plan, 2, 2));
    }

    [Theory]
    [InlineData("BroadcastEnv", "SetDeploymentEnv", "mount")]
    [InlineData("BroadcastEnv:bootloader", "SetDeploymentEnv BroadcastEnv", "keys")]
    [InlineData("BootNewEnv:kexec", "SetDeploymentEnv BroadcastEnv BootNewEnv", "boot_local_disk")]
    public void A_breakpoint_cuts_the_plan_off_before_its_step(string breakpoint, string macros, string last)
    {
        var plan = PlanOf(options: new DeployOptions { Breakpoint = breakpoint });
        Assert.Equal(macros.Split(' '), plan.MacroSteps.Select(m => m.Name));
        Assert.All(plan.MacroSteps[^1].Strategies, s => Assert.Equal(last, s.Steps[^1].Name));
    }

    [Fact]
    public void A_breakpoint_leaves_the_other_strategies_settings_alone()
    {
        var plan = PlanOf(Cluster with { MinimalEnv = [Known("kexec") with { Retries = 3 }, Known("untrusted")] }, options: new DeployOptions { Breakpoint = "SetDeploymentEnv:partition" });
        Assert.Equal([("Kexec", 3), ("Untrusted", 2)], plan.MacroSteps[0].Strategies.Select(s => (s.Name, s.Retries)));
        Assert.Equal("keys_minimal", plan.MacroSteps[0].Strategies[0].Steps[^1].Name);
    }

    [Fact]
    public void A_breakpoint_stops_before_the_operations_that_belong_to_its_step() =>
        Assert.Equal("keys_minimal", Steps(PlanOf(Cluster with { Operations = [Operation("partition")] }, options: new DeployOptions { Breakpoint = "SetDeploymentEnv:partition" }), 0)[^1]);

    [Theory]
    [InlineData("SetDeploymentEnv")]
    [InlineData("Nothing")]
    [InlineData("BroadcastEnv:nothing")]
    public void A_breakpoint_at_no_step_or_before_all_is_refused(string breakpoint) =>
        Assert.Equal("breakpoint.invalid", Assert.Single(Try(options: new DeployOptions { Breakpoint = breakpoint }).Faults).Code.Text);

    [Fact]
    public void A_machine_whose_system_lets_nobody_in_is_taken_over_by_the_next_strategy()
    {
        var end = (Simulated.Cluster("gris-[1-4]") with { Site = c => c with { MinimalEnv = [Known("kexec"), Known("untrusted")] } })
            .With("gris-3 refuses ssh").Deploy().ShouldFinish(ok: "gris-[1-4]");
        Assert.True(end.EndOf("gris-3") > end.EndOf("gris-1"));
    }

    [Fact]
    public void An_operation_that_fails_is_tried_again_only_where_it_failed()
    {
        var end = (Simulated.Cluster("gris-[1-2]") with { Site = c => c with { Operations = [Operation("sync", macro: "BroadcastEnv", retries: 1)] } })
            .With("gris-2 fails operations once").Deploy().ShouldFinish(ok: "gris-[1-2]").EveryNodeEndsOnce();
        Assert.Equal([(0, "mine"), (1, "mine"), (1, "mine")], end.Outcome.World.Operated.Order());
    }

    [Fact]
    public void A_node_whose_operation_fails_for_good_fails_with_its_cause() =>
        (Simulated.Cluster("gris-[1-2]") with { Site = c => c with { Install = [c.Install[0] with { Retries = 0 }], Operations = [Operation("sync", macro: "BroadcastEnv")] } })
            .With("gris-2 fails operations once").Deploy().ShouldFinish(ok: "gris-1", failed: "gris-2 script.failed");

    [Fact]
    public void At_a_breakpoint_the_machines_still_run_the_minimal_environment()
    {
        var end = (Simulated.Cluster("gris-[1-2]") with { Options = new DeployOptions { Breakpoint = "BootNewEnv" } }).Deploy();
        Assert.Equal(2, end.Outcome.Ok.Count);
        Assert.All(end.Outcome.Ok, n => Assert.False(end.Outcome.World.RunsDeployed(n)));
    }

    [Fact]
    public void Kernel_parameters_are_merged_in_one_place_each_once() =>
        Assert.Equal(["quiet", "a=1", "console=ttyS0"], new BootSpec("/k", null, ["quiet", "a=1"]).ParamsOn(["console=ttyS0", "quiet"]));
}
