using System.Diagnostics;
using System.Net;
using Ka.Agent.Machine;
using Ka.Agent.Orders;
using Ka.Agent.Session;
using Ka.Broadcast;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.SystemTests.Agent;

/// <summary>One agent's code over a loop device: a node without a machine.</summary>
sealed class LoopNode : IDisposable
{
    readonly string _root;
    OrderContext _context;
    readonly FileFetcher _files;

    /// <param name="files">Where the node fetches files; null when it does not.</param>
    /// <param name="secureBoot">A UEFI node that enforces Secure Boot.</param>
    public LoopNode(string root, long diskBytes, FilesOverTls? files = null, bool secureBoot = false, bool uefi = false)
    {
        _root = root;
        _files = new FileFetcher(new BootParameters("127.0.0.1", files?.Port ?? 1, files?.Fingerprint ?? new string('0', 64), null, ""), () => "session");
        Directory.CreateDirectory(root);
        var disk = Path.Combine(root, "disk");
        using (var file = File.Create(disk))
        {
            file.SetLength(diskBytes);
        }
        Device = Program.Run("losetup", "--find", "--show", disk).Trim();
        Chain = new ChainListener(IPAddress.Loopback, 0, ChainOptions.Default);
        var paths = new AgentPaths(Run: root + "/run", Target: root + "/dest", Home: root + "/home", EfiVariables: root + "/efivars");
        Directory.CreateDirectory(paths.Run);
        Directory.CreateDirectory(paths.EfiVariables);
        File.WriteAllBytes(paths.EfiVariables + "/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", [6, 0, 0, 0, (byte)(secureBoot ? 1 : 0)]);
        _context = new OrderContext(paths, secureBoot || uefi ? "uefi" : "bios", Chain, _files, ChainOptions.Default with { Linger = TimeSpan.FromMilliseconds(100) });
    }

    public string Device { get; }

    public ChainListener Chain { get; }

    public string Target => _context.Paths.Target;

    public DiskSelector Select => new(Path: Device);

    public AgentPaths Paths => _context.Paths;

    /// <summary>Another life of the agent on the same machine: it remembers nothing of its orders.</summary>
    public void Restart() => _context = new OrderContext(_context.Paths, _context.Firmware, Chain, _files, _context.ChainOptions);

    public Task<OrderOutcome> Carry(AgentOrder order) => Carry(order, (_, _, _, _, _, _) => { }, CancellationToken.None);

    public Task<OrderOutcome> Carry(AgentOrder order, Report report, CancellationToken cancel) => OrderBoard.Carry(order, _context, report, cancel);

    public async Task<OrderOutcome> MustCarry(AgentOrder order)
    {
        var outcome = await Carry(order);
        Assert.True(outcome.Fault is null, $"{order.GetType().Name}: {outcome.Fault} {outcome.Fault?.Evidence}");
        return outcome;
    }

    public void Dispose()
    {
        Chain.Dispose();
        _files.Dispose();
        foreach (var mount in Mounts.Below(Mounts.Read(_context.Paths), Target))
        {
            Native.UnmountLazily(mount.Directory);
        }
        Program.Try("partx", "--delete", Device);
        Program.Try("losetup", "--detach", Device);
        Directory.Delete(_root, recursive: true);
    }
}

/// <summary>Runs a program of the host and gives what it printed.</summary>
static class Program
{
    public static string Run(string program, params string[] arguments)
    {
        var (status, output, errors) = Try(program, arguments);
        Assert.True(status == 0, $"{program} {string.Join(' ', arguments)}: status {status}: {errors}");
        return output;
    }

    public static (int Status, string Output, string Errors) Try(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, errors.Result);
    }
}
