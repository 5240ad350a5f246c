using System.Collections.Immutable;
using Ka.Core.Faults;
using Ka.Drivers.Programs;
using Ka.Protocol.Agents;

namespace Ka.Drivers.Systems;

/// <summary>Where a running system is and by what it is recognised.</summary>
/// <param name="HostKeys">Its plain host keys, <c>ssh-ed25519 AAAA…</c>; any of them will do.</param>
/// <param name="AuthorityKey">Public key of the authority whose host certificates count as well, or null.</param>
public sealed record SystemAddress(string Node, string Address, ImmutableArray<string> HostKeys, string? AuthorityKey)
{
    /// <summary>A known_hosts file with this system alone (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").</summary>
    public string KnownHosts() => string.Concat(
        HostKeys.Select(k => $"{Node} {k}\n").Concat(AuthorityKey is { } authority ? [$"@cert-authority {Node} {authority}\n"] : Array.Empty<string>()));
}

/// <summary>Works in a running Linux system as root over OpenSSH: host key checked strictly, one key offered, no shell with variable text.</summary>
/// <param name="keyFile">Private key of the server.</param>
/// <param name="directory">For known_hosts files while they are needed.</param>
public sealed class SshSystem(string keyFile, string directory)
{
    /// <summary>Sends the files, among them the script <c>go</c>, and runs that. Null when it ended well.</summary>
    public async Task<Fault?> RunAsync(SystemAddress system, ImmutableArray<SystemFile> files, CancellationToken cancel)
    {
        var (ended, fault) = await AskAsync(system, files, cancel);
        return fault ?? (ended!.Ok ? null : Fault.Of(FaultCodes.SystemRefused, $"the running system ended with status {ended.ExitCode}", ended.Evidence));
    }

    /// <summary>The same; how the script ended is for the caller to read. A fault when the system was not reached.</summary>
    public async Task<(ProgramResult? Ended, Fault? Fault)> AskAsync(SystemAddress system, ImmutableArray<SystemFile> files, CancellationToken cancel)
    {
        if (system.HostKeys.IsEmpty && system.AuthorityKey is null)
            return (null, Fault.Of(FaultCodes.SystemUnreachable, "no host key of this node is known"));
        var knownHosts = Path.Combine(directory, $"known-{Guid.NewGuid():n}");
        try
        {
            await File.WriteAllTextAsync(knownHosts, system.KnownHosts(), cancel);
            var ended = await ExternalProgram.RunAsync("ssh", Arguments(system, knownHosts), (input, token) => RemoteScript.SendAsync(files, input, token), cancel);
            // ssh(1): 255 is its own failure, everything else the remote command's status.
            return ended.ExitCode is null or 255
                ? (null, Fault.Of(FaultCodes.SystemUnreachable, "the running system cannot be reached by ssh", ended.Evidence))
                : (ended, null);
        }
        finally
        {
            File.Delete(knownHosts);
        }
    }

    internal ImmutableArray<string> Arguments(SystemAddress system, string knownHosts) =>
    [
        "-F", "none", "-T", "-i", keyFile, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
        "-o", $"UserKnownHostsFile={knownHosts}", "-o", "GlobalKnownHostsFile=none", "-o", $"HostKeyAlias={system.Node}", "-o", "ConnectTimeout=10",
        "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=4", "-l", "root", system.Address, RemoteScript.Receive,
    ];
}
