using System.Security.Cryptography;
using System.Text;

namespace Ka.Server.Hosting;

/// <summary>
/// The key of each node's encrypted disks: random, made when it is first needed, kept in a file that only the server's user may read.
/// It stays the same over deployments, so that a failed one leaves no disk that nobody can open.
/// </summary>
public sealed class DiskKeys(string directory)
{
    /// <summary>32 characters of 5 bits each, none of which is easily misread: a person may have to type them at a console.</summary>
    const string Characters = "abcdefghijkmnpqrstuvwxyz23456789";
    const int Length = 32;

    readonly Lock _gate = new();

    /// <summary>The node's key; made now when there is none.</summary>
    public string Of(string node)
    {
        lock (_gate)
        {
            Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            return Encoding.ASCII.GetString(ServerSecrets.ReadOrMake(FileOf(node), () => Encoding.ASCII.GetBytes(RandomNumberGenerator.GetString(Characters, Length))));
        }
    }

    /// <summary>The node's key, or null when none was ever needed.</summary>
    public string? Find(string node)
    {
        lock (_gate)
            return File.Exists(FileOf(node)) ? File.ReadAllText(FileOf(node)) : null;
    }

    /// <param name="node">A name of the configuration: letters, digits, '.', '-' and '_'.</param>
    string FileOf(string node) => Path.Combine(directory, node + ".key");
}
