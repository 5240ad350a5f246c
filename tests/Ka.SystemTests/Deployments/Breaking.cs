using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.SystemTests.Deployments;

/// <summary>Machines broken in each macro step: they fail with their cause, the others finish, and the status is 3.</summary>
[Collection("real machines"), Trait("scope", "long")]
public sealed class Breaking(RealLab lab)
{
    /// <summary>Timeouts that a healthy machine of the lab keeps by far; the way to boot differs so that each is tried.</summary>
    static string Impatient(string boot) => $$"""
        steps:
          minimal-env: [ { do: untrusted, level: hard, retries: 0, timeout: 130s, first-sign: 60s } ]
          install: [ { do: chain, retries: 0, timeout: 240s } ]
          boot: [ {{boot}} ]
        limits: { gather: 20s }
        """;

    [Theory]
    [InlineData("SetDeploymentEnv", "await_agent", "boot.,power.", "{ do: hard-reboot, level: hard, timeout: 180s }")]
    [InlineData("BroadcastEnv", "send_image", "agent.lost", "{ do: kexec, timeout: 180s }")]
    [InlineData("BootNewEnv", "await_deployed", "boot.no_ssh,power.", "{ do: kexec, timeout: 75s }, { do: hard-reboot, timeout: 45s }")]
    public async Task A_machine_broken_at_a_macro_step_fails_with_its_cause_and_the_others_finish(string macro, string step, string codes, string boot)
    {
        await lab.ServeAsync(Impatient(boot));
        var (id, deploying) = await lab.BeginWaitingAsync("tiny", "node[1-4]");
        // All at once: while one is broken the others would go on and be through.
        await Task.WhenAll(BreakAsync(id, step, "node1", "cable"), BreakAsync(id, step, "node2", "hang"), BreakAsync(id, step, "node3", "off"));
        var watched = await deploying;
        var ended = await lab.ShowAsync(id);
        Assert.True(watched.Status == 3, RealLab.Summary(ended) + watched);
        Assert.Equal("node4", ended.Ok);
        Assert.Equal("node[1-3]", ended.Failed);
        foreach (var failure in ended.Failures)
        {
            Assert.Equal(macro, failure.Macro);
            Assert.True(codes.Split(',').Any(c => failure.Code.StartsWith(c, StringComparison.Ordinal)), RealLab.Summary(ended));
            Assert.NotEqual("", failure.Next);
        }
        Assert.Equal(3, ended.Failures.SelectMany(f => NodeSet.Parse(f.Nodes)).Count());
        Assert.Contains("next ", watched.Output, StringComparison.Ordinal);
        Assert.Equal("node4", await lab.SshAsync("node4", "hostname"));
    }

    async Task BreakAsync(string id, string step, string node, string how)
    {
        await lab.UntilAsync(id, $"{node} is at {step}", o => o.PerNode.Any(n => n.Node == node && IsAt(n, step)), TimeSpan.FromMinutes(6));
        var broken = await lab.LabAsync("break", node, "--how", how);
        Assert.True(broken.Status == 0, broken.ToString());
    }

    /// <summary>Early enough in the step that the break is what ends it.</summary>
    static bool IsAt(NodeProgress node, string step) => node.State == "running" && node.Step == step && (step != "send_image" || node.Done > 0);
}
