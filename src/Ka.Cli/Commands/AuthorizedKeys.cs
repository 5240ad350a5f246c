using System.Collections.Immutable;

namespace Ka.Cli.Commands;

/// <summary>The public ssh keys that go to root of a node.</summary>
static class AuthorizedKeys
{
    /// <param name="wanted">Whether any are asked for.</param>
    /// <param name="file">Null for the user's own.</param>
    /// <returns>Null, with the reason said, when there are none.</returns>
    public static ImmutableArray<string>? Read(bool wanted, string? file)
    {
        if (!wanted)
            return [];
        var home = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".ssh");
        string[] candidates = file is not null ? [file] : [.. new[] { "id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub", "authorized_keys" }.Select(n => Path.Combine(home, n))];
        if (candidates.FirstOrDefault(File.Exists) is not { } found)
        {
            Console.Error.WriteLine(file is null ? $"ka: no public key in {home}; make one (ssh-keygen) or name a file: -k FILE" : $"ka: the key file {file} does not exist");
            return null;
        }
        return [.. File.ReadAllLines(found).Select(l => l.Trim()).Where(l => l.Length > 0 && l[0] != '#')];
    }
}
