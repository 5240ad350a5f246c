using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Ka.Agent;
using Ka.Agent.Machine;
using Ka.Agent.Orders;
using Ka.Agent.Session;
using Ka.Broadcast;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Tests.Agent;

public sealed class LinkTests : IDisposable
{
    static readonly LinkTiming Quick = new(TimeSpan.FromMilliseconds(10), TimeSpan.FromMilliseconds(50), TimeSpan.FromMilliseconds(20), TimeSpan.FromSeconds(10));

    readonly string _root = Directory.CreateTempSubdirectory("ka-agent").FullName;
    readonly CancellationTokenSource _stop = new();

    AgentPaths Paths => new(Sys: _root + "/sys", Run: _root + "/run", Target: _root + "/target", Home: _root + "/home", OsRelease: _root + "/os-release");

    public void Dispose()
    {
        _stop.Cancel();
        Directory.Delete(_root, recursive: true);
    }

    Task StartAgent(BootParameters boot) => AgentHost.Run(boot, Paths, Quick, LoopbackOptions, TextWriter.Null, _stop.Token);

    static ChainOptions LoopbackOptions => Broadcast.LoopbackChain.Quick;

    static ScriptSpec Script(byte[] file, params string[] arguments) => new(
        "test", null, ImageCompression.None, Convert.ToHexStringLower(SHA256.HashData(file)), ["", .. arguments],
        ImmutableDictionary<string, string>.Empty.Add("KADEPLOY_ENV", "debian 12"), 20);

    [Fact]
    public async Task The_agent_says_who_it_is_and_carries_out_an_order()
    {
        await using var server = await ScriptedServer.Start();
        var script = Encoding.UTF8.GetBytes("#!/bin/sh\necho \"$KADEPLOY_ENV|$KADEPLOY_ENV_EXTRACTION_DIR|$1|$2\"\necho bad >&2\nexit $2\n");
        server.Files[Convert.ToHexStringLower(SHA256.HashData(script))] = script;
        var running = StartAgent(server.Boot);
        var session = await server.Accept();
        Assert.Equal("credential-1", session.Hello.Credential);
        Assert.Equal("nonce-1", session.Hello.BootNonce);
        Assert.True(session.Hello.ChainPort > 0);
        await session.Send(new AgentWelcome("gris-1", "session-1"));
        await session.Next<AgentPulse>();
        await session.Send(new OrderGiven("o1", 30, new RunScript(Script(script, "a 'b", "0"))));
        var good = await session.Next<AgentResult>();
        Assert.Null(good.Fault);
        Assert.Equal($"debian 12|{_root}/target|a 'b|0\n", good.StandardOutput);
        await session.Send(new OrderGiven("o2", 30, new RunScript(Script(script, "x", "3"))));
        var bad = await session.Next<AgentResult>();
        Assert.Equal("script.failed", bad.Fault!.Code);
        Assert.Equal(3, bad.ExitCode);
        Assert.Equal("bad\n", bad.StandardError);
        session.Break();
        await _stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task The_same_order_twice_runs_once_and_its_result_comes_twice()
    {
        await using var server = await ScriptedServer.Start();
        var script = Encoding.UTF8.GetBytes($"#!/bin/sh\necho x >>{_root}/count\n");
        server.Files[Convert.ToHexStringLower(SHA256.HashData(script))] = script;
        _ = StartAgent(server.Boot);
        var session = await server.Accept();
        await session.Send(new AgentWelcome("gris-1", "session-1"));
        for (var i = 0; i < 2; i++)
        {
            await session.Send(new OrderGiven("same", 30, new RunScript(Script(script))));
            Assert.Equal("same", (await session.Next<AgentResult>()).OrderId);
        }
        Assert.Equal("x\n", await File.ReadAllTextAsync(_root + "/count"));
        session.Break();
    }

    [Fact]
    public async Task An_order_runs_on_while_the_link_is_down_and_its_result_comes_with_the_next_one()
    {
        await using var server = await ScriptedServer.Start();
        var script = Encoding.UTF8.GetBytes($"#!/bin/sh\nwhile ! test -e {_root}/go; do sleep 0.01; done\necho done\n");
        server.Files[Convert.ToHexStringLower(SHA256.HashData(script))] = script;
        _ = StartAgent(server.Boot);
        var first = await server.Accept();
        await first.Send(new AgentWelcome("gris-1", "session-1"));
        await first.Send(new OrderGiven("long", 30, new RunScript(Script(script))));
        Assert.Equal("script", (await first.Next<AgentProgress>()).Phase);
        first.Break();
        var second = await server.Accept();
        Assert.Null(second.Hello.Credential);
        Assert.Equal("session-1", second.Hello.Session);
        await second.Send(new AgentWelcome("gris-1", "session-1"));
        await File.WriteAllTextAsync(_root + "/go", "");
        Assert.Equal("done\n", (await second.Next<AgentResult>()).StandardOutput);
        second.Break();
    }

    [Fact]
    public async Task An_order_is_stopped_at_its_deadline_or_when_it_is_cancelled()
    {
        await using var server = await ScriptedServer.Start();
        var script = Encoding.UTF8.GetBytes("#!/bin/sh\nsleep 100 & sleep 100\n");
        server.Files[Convert.ToHexStringLower(SHA256.HashData(script))] = script;
        _ = StartAgent(server.Boot);
        var session = await server.Accept();
        await session.Send(new AgentWelcome("gris-1", "session-1"));
        await session.Send(new OrderGiven("late", 1, new RunScript(Script(script))));
        Assert.Equal("step.timeout", (await session.Next<AgentResult>()).Fault!.Code);
        await session.Send(new OrderGiven("slow", 30, new RunScript(Script(script) with { TimeoutSeconds = 1 })));
        Assert.Equal("script.timeout", (await session.Next<AgentResult>()).Fault!.Code);
        await session.Send(new OrderGiven("unwanted", 30, new RunScript(Script(script))));
        await session.Next<AgentProgress>();
        await session.Send(new OrderCancelled("unwanted"));
        Assert.Equal("operation.cancelled", (await session.Next<AgentResult>()).Fault!.Code);
        session.Break();
    }

    [Fact]
    public async Task A_message_that_it_cannot_read_does_not_break_the_link()
    {
        await File.WriteAllTextAsync(_root + "/os-release", "NAME=\"Ka minimal environment\"\nID=ka-minimal\n");
        await using var server = await ScriptedServer.Start();
        _ = StartAgent(server.Boot);
        var session = await server.Accept();
        await session.Send(new AgentWelcome("gris-1", "session-1"));
        await session.SendText("""{"type":"order","id":"n","deadlineSeconds":5,"order":{"do":"dance"}}""");
        await session.SendText("no json");
        await session.Send(new OrderGiven("k", 5, new InstallKeys(["ssh-ed25519 AAAA me"])));
        Assert.Null((await session.Next<AgentResult>()).Fault);
        Assert.Equal("ssh-ed25519 AAAA me\n", await File.ReadAllTextAsync(_root + "/home/.ssh/authorized_keys"));
        session.Break();
    }

    [Fact]
    public async Task Of_keys_that_somebody_left_in_memory_only_the_present_ones_stay()
    {
        await File.WriteAllTextAsync(_root + "/os-release", "ID=ka-minimal\n");
        await PutAsync("/home/.ssh/authorized_keys", "ssh-ed25519 BBBB former\n");
        Assert.Null((await CarryAsync(new InstallKeys(["ssh-ed25519 AAAA me"]))).Fault);
        Assert.Equal("ssh-ed25519 AAAA me\n", await File.ReadAllTextAsync(_root + "/home/.ssh/authorized_keys"));
    }

    [Fact]
    public async Task A_system_that_somebody_uses_keeps_its_own_keys()
    {
        await File.WriteAllTextAsync(_root + "/os-release", "ID=debian\n");
        await PutAsync("/home/.ssh/authorized_keys", "ssh-ed25519 BBBB owner\n");
        Assert.Null((await CarryAsync(new InstallKeys(["ssh-ed25519 AAAA me"]))).Fault);
        Assert.Equal("ssh-ed25519 BBBB owner\n", await File.ReadAllTextAsync(_root + "/home/.ssh/authorized_keys"));
    }

    const string Certificate = "ssh-ed25519-cert-v01@openssh.com AAAA root@gris-1";

    [Fact]
    public async Task A_host_certificate_gets_a_file_of_its_own_where_the_configuration_takes_one_in()
    {
        await PutAsync("/target/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nPort 22\n");
        Assert.Equal("yes", (await CarryAsync(new InstallHostCertificate(Certificate))).Values!["hostCertificate"]);
        Assert.Equal(Certificate + "\n", await File.ReadAllTextAsync(_root + "/target/etc/ssh/ssh_host_ed25519_key-cert.pub"));
        Assert.Equal("HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub\n", await File.ReadAllTextAsync(_root + "/target/etc/ssh/sshd_config.d/ka.conf"));
    }

    [Fact]
    public async Task A_configuration_that_takes_nothing_in_is_left_as_it_is()
    {
        await PutAsync("/target/etc/ssh/sshd_config", "Port 22\nMatch User x\n");
        Assert.Equal("no", (await CarryAsync(new InstallHostCertificate(Certificate))).Values!["hostCertificate"]);
        Assert.Equal("Port 22\nMatch User x\n", await File.ReadAllTextAsync(_root + "/target/etc/ssh/sshd_config"));
        Assert.False(File.Exists(_root + "/target/etc/ssh/ssh_host_ed25519_key-cert.pub"));
    }

    [Fact]
    public async Task A_target_without_openssh_gets_no_certificate()
    {
        Directory.CreateDirectory(_root + "/target/etc/dropbear");
        Assert.Equal("no", (await CarryAsync(new InstallHostCertificate(Certificate))).Values!["hostCertificate"]);
        Assert.False(Directory.Exists(_root + "/target/etc/ssh"));
    }

    [Theory]
    [InlineData("$KADEPLOY_ENV_EXTRACTION_DIR/etc", "/mnt/dest/etc")]
    [InlineData("${KADEPLOY_ENV_EXTRACTION_DIR}x", "/mnt/destx")]
    [InlineData("/a$NONE/b", "/a/b")]
    [InlineData("/costs/5$/x", "/costs/5$/x")]
    public void Variables_of_a_destination_are_replaced(string text, string directory) =>
        Assert.Equal(directory, Putting.Expand(text, new Dictionary<string, string> { ["KADEPLOY_ENV_EXTRACTION_DIR"] = "/mnt/dest" }));

    /// <summary>One order over a link of its own, and what came of it.</summary>
    async Task<AgentResult> CarryAsync(AgentOrder order)
    {
        await using var server = await ScriptedServer.Start();
        _ = StartAgent(server.Boot);
        var session = await server.Accept();
        await session.Send(new AgentWelcome("gris-1", "session-1"));
        await session.Send(new OrderGiven("o", 5, order));
        var result = await session.Next<AgentResult>();
        session.Break();
        return result;
    }

    async Task PutAsync(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_root + path)!);
        await File.WriteAllTextAsync(_root + path, text);
    }

    [Fact]
    public async Task A_server_with_another_certificate_learns_nothing()
    {
        await using var server = await ScriptedServer.Start();
        await using var imposter = await ScriptedServer.Start();
        _ = StartAgent(server.Boot with { Port = imposter.Boot.Port });
        _ = StartAgent(server.Boot);
        var session = await server.Accept();
        var nobody = imposter.Accept();
        await session.Send(new AgentWelcome("gris-1", "session-1"));
        await session.Next<AgentPulse>();
        Assert.False(nobody.IsCompleted);
        session.Break();
    }

    [Fact]
    public async Task A_refusal_with_a_time_is_followed_by_another_try()
    {
        await using var server = await ScriptedServer.Start();
        _ = StartAgent(server.Boot);
        var first = await server.Accept();
        await first.Send(new AgentRefusal("agent.refused", "not now", 0));
        var second = await server.Accept();
        Assert.Equal("credential-1", second.Hello.Credential);
        first.Break();
        second.Break();
    }

    [Fact]
    public async Task A_jump_waits_until_its_result_is_with_the_server()
    {
        var left = new TaskCompletionSource();
        var desk = new OrderDesk((_, _, _) => Task.FromResult(new OrderOutcome(null, Afterwards: () =>
        {
            left.SetResult();
            return Task.CompletedTask;
        })));
        desk.Take(new OrderGiven("jump", 30, new RebootNode()));
        await desk.News();
        Assert.False(left.Task.IsCompleted);
        Assert.IsType<AgentResult>(Assert.Single(desk.Outgoing()));
        desk.Sent("jump");
        await left.Task;
    }

    [Fact]
    public async Task An_order_that_comes_again_while_its_result_goes_out_gets_it_once_more_and_then_no_more()
    {
        var desk = new OrderDesk((_, _, _) => Task.FromResult(new OrderOutcome(null)));
        var order = new OrderGiven("again", 30, new RebootNode());
        desk.Take(order);
        await desk.News();
        Assert.Single(desk.Outgoing());
        desk.Take(order);
        desk.Sent("again");
        Assert.True(desk.News().IsCompleted);
        Assert.Equal("again", Assert.IsType<AgentResult>(Assert.Single(desk.Outgoing())).OrderId);
        desk.Sent("again");
        Assert.Empty(desk.Outgoing());
        Assert.False(desk.News().IsCompleted);
    }

    [Fact]
    public async Task A_crash_of_one_order_is_its_result()
    {
        var desk = new OrderDesk((_, _, _) => throw new InvalidOperationException("bug"));
        desk.Take(new OrderGiven("x", 30, new RebootNode()));
        await desk.News();
        var result = Assert.IsType<AgentResult>(Assert.Single(desk.Outgoing()));
        Assert.Equal(FaultCodes.StepCrashed.Text, result.Fault!.Code);
    }
}
