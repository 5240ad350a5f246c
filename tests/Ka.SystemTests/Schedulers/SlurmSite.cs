using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Ka.Boot;
using Ka.Core.Clusters;
using Ka.Core.NodeSets;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Simulation;
using Ka.Store;
using Ka.SystemTests.Deployments;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.SystemTests.Schedulers;

/// <summary>
/// A server of Ka in this process with two nodes that are a file for their power and a listener for their ssh, and a Slurm with the same two nodes.
/// </summary>
sealed class SlurmSite : IAsyncDisposable
{
    readonly string _directory = Directory.CreateTempSubdirectory("ka-slurm-").FullName;
    readonly List<TcpListener> _ssh = [];
    WebApplication? _app;
    SlurmCluster? _slurm;

    public SlurmCluster Slurm => _slurm!;

    string Socket => At("kad.sock");

    string At(string name) => Path.Combine(_directory, name);

    public static async Task<SlurmSite> StartAsync()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        SlurmCluster.SkipUnlessInstalled();
        Assert.SkipUnless((await RealLab.RunAsync("setpriv", [.. SlurmCluster.AsNobody, RealLab.Beside("ka"), "version"])).Status == 0, "needs a clone that everybody may read");
        var site = new SlurmSite();
        try
        {
            File.SetUnixFileMode(site._directory, (UnixFileMode)0b111_101_101);
            await site.ServeAsync();
            site._slurm = await SlurmCluster.StartAsync(site.At("cluster"), site.Socket, ["gris-1", "gris-2"], "debian12:1");
            return site;
        }
        catch
        {
            await site.DisposeAsync();
            throw;
        }
    }

    /// <summary>A command of ka, by root or by a user without any right of their own.</summary>
    public Task<Ended> KaAsync(params string[] words) => RealLab.RunAsync(RealLab.Beside("ka"), ["--server", "unix:" + Socket, .. words]);

    public Task<Ended> KaAsNobodyAsync(params string[] words) => RealLab.RunAsync("setpriv", [.. SlurmCluster.AsNobody, RealLab.Beside("ka"), "--server", "unix:" + Socket, .. words]);

    /// <summary>Times that the power of a node was switched on.</summary>
    public int Boots(string node) => File.ReadAllText(At("boots")).Split('\n').Count(line => line == node);

    async Task ServeAsync()
    {
        foreach (var node in (string[])["gris-1", "gris-2"])
            await File.WriteAllTextAsync(At("power-" + node), "on\n");
        await File.WriteAllTextAsync(At("boots"), "");
        var power = new PowerSettings("command", null, 623, null, null, 17, new Dictionary<string, ImmutableArray<string>>
        {
            ["status"] = ["/usr/bin/cat", At("power-{node}")],
            ["on"] = ["/bin/sh", "-c", "echo on > \"$1\"; echo \"$2\" >> \"$3\"", "sh", At("power-{node}"), "{node}", At("boots")],
            ["off"] = ["/bin/sh", "-c", "echo off > \"$1\"", "sh", At("power-{node}")],
        }.ToImmutableDictionary());
        var sample = SimulatedDeployment.SampleCluster(["gris-1", "gris-2"]);
        var cluster = sample with { Nodes = [.. sample.Nodes.Select((n, i) => n with { Mac = $"52:54:00:00:00:0{i + 1}", Address = $"127.0.77.{i + 1}", Power = power })] };
        foreach (var node in cluster.Nodes)
            Listen(node);
        _app = ServerApp.Build(
            new SiteConfiguration(
                "slurm", At("state"), [new UserListener(Socket, null)], new NodeListener(IPAddress.Loopback, 0, 0, 0) { Torrent = 0 },
                new BootNetworkSettings(DhcpMode.Off, null, IPAddress.Parse("127.0.77.0"), 24, null, [], false, "/usr/lib/ipxe"), new MinimalSettings(At("minimal"), []), [cluster],
                GroupTable.Empty, NodeLimit: 100),
            withNetworkBoot: false);
        await _app.StartAsync();
        // What the nodes are between jobs.
        var environment = SimulatedDeployment.SampleEnvironment;
        _app.Services.GetRequiredService<EnvironmentCatalogue>().Add(environment);
        _app.Services.GetRequiredService<NodeTable>().SetStates(
            [.. cluster.Nodes.Select(n => new NodeState(n.Name, "deployed", $"{environment.Name}:{environment.Version}", null, null, DateTimeOffset.UnixEpoch))]);
    }

    /// <summary>Answers as an ssh server while the node is on. Where one of this machine has the port already, that one answers.</summary>
    void Listen(ClusterNode node)
    {
        var listener = new TcpListener(IPAddress.Parse(node.Address), 22);
        try
        {
            listener.Start();
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            return;
        }
        _ssh.Add(listener);
        _ = AnswerAsync(listener, At("power-" + node.Name));
    }

    static async Task AnswerAsync(TcpListener listener, string power)
    {
        try
        {
            while (true)
            {
                using var caller = await listener.AcceptSocketAsync();
                if (await File.ReadAllTextAsync(power) == "on\n")
                    await caller.SendAsync("SSH-2.0-node\r\n"u8.ToArray());
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_slurm is not null)
            await _slurm.DisposeAsync();
        if (_app is not null)
        {
            await _app.StopAsync();
            await _app.DisposeAsync();
        }
        foreach (var listener in _ssh)
            listener.Stop();
        Directory.Delete(_directory, recursive: true);
    }
}
