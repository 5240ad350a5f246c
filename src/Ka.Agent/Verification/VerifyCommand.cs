using System.Collections.Immutable;
using System.Text.Json;
using Ka.Agent.Machine;
using Ka.Protocol.Manifests;

namespace Ka.Agent.Verification;

/// <summary>
/// <c>ka-agent verify --root DIR --manifest FILE|- [--mode full|sample] [--seed N] [--elsewhere FILE] [--fresh]</c>: compares a system, running or not, with a
/// manifest and prints a <see cref="VerifyReport"/>. Leaves out what a deployment itself changes, and what the lines of the
/// <c>--elsewhere</c> file name. Exit status 0: the same; 1: differences;
/// 2: usage; 65: the manifest is none; 70: the check could not be made.
/// </summary>
static class VerifyCommand
{
    const string Usage = "usage: ka-agent verify --root DIR --manifest FILE|- [--mode full|sample] [--seed N] [--elsewhere FILE (paths left out, a line each)] [--fresh (leave nothing else out)]";

    public static int Run(ReadOnlySpan<string> arguments, Stream input, TextWriter output, TextWriter errors, CancellationToken cancel)
    {
        if (Parse(arguments) is not { } asked)
        {
            errors.WriteLine(Usage);
            return 2;
        }
        FileManifest? manifest;
        try
        {
            using var stream = asked.Manifest == "-" ? input : File.OpenRead(asked.Manifest);
            (manifest, var broken) = ManifestText.Read(stream, cancel);
            if (manifest is null)
            {
                errors.WriteLine($"ka-agent: {broken}");
                return 65;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            errors.WriteLine($"ka-agent: {asked.Manifest}: {e.Message}");
            return 65;
        }
        var mounts = new MountPlaces(Mounts.Read(new AgentPaths()), asked.Root, asked.Elsewhere);
        var (report, fault) = TreeCheck.Run(asked.Root, manifest, mounts, new CheckOptions(asked.Mode, asked.Seed, !asked.Fresh, []), _ => { }, cancel);
        if (report is null)
        {
            errors.WriteLine($"ka-agent: {fault} {fault!.Evidence}");
            return 70;
        }
        output.WriteLine(JsonSerializer.Serialize(report, VerifyJson.Default.VerifyReport));
        return report.Same ? 0 : 1;
    }

    sealed record Asked(string Root, string Manifest, VerifyMode Mode, ulong Seed, ImmutableArray<string> Elsewhere, bool Fresh);

    static Asked? Parse(ReadOnlySpan<string> arguments)
    {
        string? root = null, manifest = null;
        var (mode, seed, fresh) = (VerifyMode.Full, 1UL, false);
        ImmutableArray<string> elsewhere = [];
        for (var i = 0; i < arguments.Length; i++)
        {
            if (arguments[i] == "--fresh")
            {
                fresh = true;
                continue;
            }
            if (i + 1 == arguments.Length)
            {
                return null;
            }
            var value = arguments[++i];
            switch (arguments[i - 1])
            {
                case "--root" when Directory.Exists(value):
                    root = value == "/" ? value : Path.GetFullPath(value).TrimEnd('/');
                    break;
                case "--manifest":
                    manifest = value;
                    break;
                case "--mode" when value is "full" or "sample":
                    mode = value == "full" ? VerifyMode.Full : VerifyMode.Sample;
                    break;
                case "--elsewhere" when File.Exists(value):
                    elsewhere = [.. File.ReadAllLines(value).Where(l => l.Length > 0)];
                    break;
                case "--seed" when ulong.TryParse(value, out seed):
                    break;
                default:
                    return null;
            }
        }
        return root is null || manifest is null ? null : new Asked(root, manifest, mode, seed, elsewhere, fresh);
    }
}
