using System.CommandLine;
using System.Diagnostics;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka env import SOURCE</c>: an environment of a container image.</summary>
static class ImportCommand
{
    public static Command Build()
    {
        var source = new Argument<string>("SOURCE") { Description = "oci:DIR[:TAG], oci-layout:DIR[:TAG], docker-archive:FILE, oci://REGISTRY/NAME[:TAG]" };
        var name = new Option<string>("--name") { Description = "Name of the environment", Required = true };
        var version = new Option<int>("--version-number") { Description = "Version of the environment", DefaultValueFactory = _ => 1 };
        var boot = new Option<string>("--boot-from") { Description = "Environment that gives kernel, initrd and modules: NAME or NAME:VERSION", Required = true };
        var parameters = new Option<string?>("--params") { Description = "Kernel parameters (default: those of --boot-from)" };
        var text = new Option<string?>("--description") { Description = "One line about it" };
        var command = new Command("import", "Register a container image with an init as an environment") { source, name, version, boot, parameters, text };
        command.SetAction((parsed, cancel) => RunAsync(
            parsed, parsed.GetValue(source)!,
            new ImportBody(parsed.GetValue(name)!, parsed.GetValue(version), parsed.GetValue(text) ?? parsed.GetValue(source)!, [], parsed.GetValue(boot)!, parsed.GetValue(parameters)), cancel));
        return command;
    }

    static async Task<int> RunAsync(ParseResult parsed, string source, ImportBody body, CancellationToken cancel)
    {
        string? fetched = null;
        try
        {
            if (Local(source) is not var (directory, tag))
            {
                fetched = Directory.CreateTempSubdirectory("ka-import-").FullName;
                if (await FetchAsync(source, fetched, cancel) is { } status)
                    return status;
                (directory, tag) = (fetched, null);
            }
            return await SendAsync(parsed, OciImage.Read(directory, tag), body, cancel);
        }
        catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"ka: {source}: {e.Message}  (archive.invalid)");
            return ExitCodes.BadData;
        }
        finally
        {
            if (fetched is not null)
                Directory.Delete(fetched, recursive: true);
        }
    }

    /// <summary>Directory and tag of a layout on this machine; null for what has to be fetched or taken apart first.</summary>
    internal static (string Directory, string? Tag)? Local(string source)
    {
        if (source.StartsWith("oci://", StringComparison.Ordinal))
            return null;
        var rest = source.StartsWith("oci:", StringComparison.Ordinal) ? source["oci:".Length..] : source.StartsWith("oci-layout:", StringComparison.Ordinal) ? source["oci-layout:".Length..] : null;
        if (rest is null)
            return null;
        var colon = rest.LastIndexOf(':');
        return Directory.Exists(rest) || colon <= 0 || rest.IndexOf('/', colon) >= 0 ? (rest, null) : (rest[..colon], rest[(colon + 1)..]);
    }

    /// <summary>skopeo knows registries and Docker's archives; what it leaves is a layout like any other. Null when it is there.</summary>
    static async Task<int?> FetchAsync(string source, string directory, CancellationToken cancel)
    {
        var from = source.StartsWith("oci://", StringComparison.Ordinal) ? "docker://" + source["oci://".Length..] : source.StartsWith("docker-archive:", StringComparison.Ordinal) ? source : null;
        if (from is null)
        {
            Console.Error.WriteLine($"ka: '{source}' is no source: oci:DIR[:TAG], oci-layout:DIR[:TAG], docker-archive:FILE or oci://REGISTRY/NAME[:TAG] is expected");
            return ExitCodes.Usage;
        }
        try
        {
            using var skopeo = Process.Start(new ProcessStartInfo("skopeo", ["copy", "--quiet", "--override-os", "linux", "--override-arch", "amd64", from, $"oci:{directory}"]))!;
            await skopeo.WaitForExitAsync(cancel);
            if (skopeo.ExitCode == 0)
                return null;
            Console.Error.WriteLine($"ka: skopeo could not copy {from} (status {skopeo.ExitCode})  (archive.invalid)");
            return ExitCodes.BadData;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Console.Error.WriteLine($"ka: '{source}' is fetched by skopeo, which is not installed (package skopeo)");
            return ExitCodes.Unreachable;
        }
    }

    static async Task<int> SendAsync(ParseResult parsed, OciImage image, ImportBody body, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        foreach (var (file, layer) in image.Layers)
        {
            if (await server.SendFileAsync(file, layer.Sha256, cancel) is { } problem)
                return Terminal.Say(problem);
        }
        var made = await server.PostAsync(
            "api/v1/environments/import", body with { Layers = [.. image.Layers.Select(l => l.Layer)] }, RestJson.Default.ImportBody, RestJson.Default.ApplyReply, cancel);
        if (made.Value is not { } done)
            return Terminal.Say(made.Problem!);
        if (Common.IsJson(parsed))
            Terminal.Json(done, RestJson.Default.ApplyReply);
        else
            Console.WriteLine($"{done.Environment.Name}:{done.Environment.Version} {done.Change} ({image.Layers.Length} layers, sha256:{done.Environment.Sha256[..12]}…, {Terminal.Size(done.Environment.Bytes)}, kernel {done.Environment.Kernel})");
        return ExitCodes.Done;
    }
}
