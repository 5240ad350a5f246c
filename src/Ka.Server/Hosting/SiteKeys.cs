using System.Collections.Immutable;
using Ka.Core.Faults;
using Ka.Drivers.Programs;

namespace Ka.Server.Hosting;

/// <summary>
/// The ssh keys of this site, made when first needed by ssh-keygen, in files that only the server may read: the authority that signs
/// the host keys of deployed systems, and the server's own client key.
/// </summary>
public sealed class SiteKeys(string stateDirectory) : IDisposable
{
    /// <summary>How long a host certificate holds: longer than machines live, since their clocks may be wrong; a new deployment makes a new one.</summary>
    const string Validity = "-1d:+1040w";

    readonly string _directory = Path.Combine(stateDirectory, "ssh");
    readonly SemaphoreSlim _one = new(1);

    /// <summary>Private key file of the server.</summary>
    public string ClientKeyFile => Path.Combine(_directory, "server");

    string AuthorityFile => Path.Combine(_directory, "authority");

    /// <summary>The server's public key, one line.</summary>
    public async Task<(string? Key, Fault? Fault)> ClientKeyAsync(CancellationToken cancel) => await PublicKeyAsync(ClientKeyFile, "ka server", cancel);

    /// <summary>The authority's public key, one line.</summary>
    public async Task<(string? Key, Fault? Fault)> AuthorityKeyAsync(CancellationToken cancel) => await PublicKeyAsync(AuthorityFile, "ka site authority", cancel);

    /// <summary>The authority's public key when it has been made already; else null.</summary>
    public string? AuthorityKey => File.Exists(AuthorityFile + ".pub") ? File.ReadAllText(AuthorityFile + ".pub").Trim() : null;

    /// <summary>Signs a host key for a node's names and addresses.</summary>
    /// <param name="hostKey"><c>ssh-ed25519 AAAA…</c>.</param>
    public async Task<(string? Certificate, Fault? Fault)> SignHostAsync(string hostKey, string identity, ImmutableArray<string> names, CancellationToken cancel)
    {
        if (await AuthorityKeyAsync(cancel) is (_, { } missing))
            return (null, missing);
        var file = Path.Combine(_directory, $"sign-{Guid.NewGuid():n}");
        try
        {
            await File.WriteAllTextAsync(file + ".pub", hostKey + "\n", cancel);
            var signed = await ExternalProgram.RunAsync(
                "ssh-keygen", ["-q", "-s", AuthorityFile, "-h", "-I", identity, "-n", string.Join(',', names), "-V", Validity, file + ".pub"], cancel);
            return signed.Ok
                ? ((await File.ReadAllTextAsync(file + "-cert.pub", cancel)).Trim(), null)
                : (null, Fault.Of(FaultCodes.SigningFailed, "the host key could not be signed", signed.Evidence));
        }
        finally
        {
            File.Delete(file + ".pub");
            File.Delete(file + "-cert.pub");
        }
    }

    public void Dispose() => _one.Dispose();

    async Task<(string? Key, Fault? Fault)> PublicKeyAsync(string file, string comment, CancellationToken cancel)
    {
        await _one.WaitAsync(cancel);
        try
        {
            if (!File.Exists(file + ".pub"))
            {
                Directory.CreateDirectory(_directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
                File.Delete(file); // a private half whose public half was never finished was never used
                var made = await ExternalProgram.RunAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", file], cancel);
                if (!made.Ok)
                    return (null, Fault.Of(FaultCodes.SigningFailed, "the site's ssh key could not be made", made.Evidence));
            }
            return ((await File.ReadAllTextAsync(file + ".pub", cancel)).Trim(), null);
        }
        finally
        {
            _one.Release();
        }
    }
}
