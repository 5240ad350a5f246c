using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Protocol.Rest;
using Ka.Yaml;

namespace Ka.Server.Environments;

/// <summary>
/// Turns a container image into an environment: its layers become one archive, to which another environment gives what containers lack,
/// kernel, initrd and modules. The bootloader comes from the minimal environment when the image has none.
/// </summary>
static class ContainerImport
{
    const string FileName = "image.tar.zst";

    public static (OsEnvironment? Environment, Fault? Fault) Make(ImportBody body, OsEnvironment boot, FileStore files, DateTimeOffset now, CancellationToken cancel)
    {
        if (boot.Image.Kind != ImageKind.Tar || boot.Boot.Kernel.Length == 0)
            return Refuse(FaultCodes.EnvironmentInvalid, $"{boot.Name} is no archive with a kernel; kernel and modules cannot be taken from it");
        var layers = ImmutableArray.CreateBuilder<ImageLayer>();
        layers.Add(new ImageLayer(files.PathOf(boot.Image.Sha256), boot.Image.Compression, null, path => IsForBoot(path, boot.Boot)));
        foreach (var layer in body.Layers)
        {
            if (!FileStore.IsDigest(layer.Sha256) || !FileStore.IsDigest(layer.DiffId) || !files.Has(layer.Sha256) || CompressionOf(layer.Compression) is not { } compression)
                return Refuse(FaultCodes.RequestInvalid, "a layer was not sent, or its compression is none that is known (none, gzip, zstd)");
            layers.Add(new ImageLayer(files.PathOf(layer.Sha256), compression, layer.DiffId));
        }
        if (body.Layers.IsEmpty)
            return Refuse(FaultCodes.RequestInvalid, "the image has no layer");
        var (sha256, fault) = Pack(new LayerMerge(layers.ToImmutable()), files, cancel);
        return sha256 is null ? (null, fault) : Describe(body, boot, sha256, files, now, cancel);

        static (OsEnvironment?, Fault?) Refuse(FaultCode code, string message) => (null, Fault.Of(code, message));
    }

    /// <summary>What is taken from the other environment: everything under <c>/boot</c>, the modules, the links that its description names, and the directories above.</summary>
    public static bool IsForBoot(string path, BootSpec boot) =>
        path is "/" or "/boot" or "/usr" or "/usr/lib" or "/usr/lib/modules" || path == boot.Kernel || path == boot.Initrd
        || ((path.StartsWith("/boot/", StringComparison.Ordinal) || path.StartsWith("/usr/lib/modules/", StringComparison.Ordinal)) && !path.StartsWith("/boot/grub", StringComparison.Ordinal));

    static ImageCompression? CompressionOf(string text) => text switch
    {
        "none" => ImageCompression.None,
        "gzip" => ImageCompression.Gzip,
        "zstd" => ImageCompression.Zstd,
        _ => null,
    };

    /// <summary>The merged archive, compressed, in the store.</summary>
    static (string? Sha256, Fault? Fault) Pack(LayerMerge merge, FileStore files, CancellationToken cancel)
    {
        var packed = files.Scratch();
        try
        {
            var start = new ProcessStartInfo("zstd", ["-q", "-f", "-3", "-T1", "-o", packed]) { RedirectStandardInput = true, RedirectStandardError = true };
            using var zstd = Process.Start(start)!;
            var said = zstd.StandardError.ReadToEndAsync(cancel);
            Fault? fault;
            try
            {
                fault = merge.Write(zstd.StandardInput.BaseStream, cancel);
                zstd.StandardInput.Close();
            }
            catch (IOException e)
            {
                fault = Fault.Of(FaultCodes.DiskIoError, "the merged image could not be written", e.Message);
            }
            catch (OperationCanceledException)
            {
                zstd.Kill();
                throw;
            }
            zstd.WaitForExit();
            if (fault is not null || zstd.ExitCode != 0)
                return (null, fault ?? Fault.Of(FaultCodes.DiskIoError, $"zstd ended with status {zstd.ExitCode}", said.GetAwaiter().GetResult().Trim()));
            string digest;
            using (var stream = File.OpenRead(packed))
                digest = Convert.ToHexStringLower(SHA256.HashData(stream));
            using var content = File.OpenRead(packed);
            return files.Has(digest) ? (digest, null) : files.PutAsync(digest, content, cancel).GetAwaiter().GetResult() is { } notKept ? (null, notKept) : (digest, null);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return (null, Fault.Of(FaultCodes.ServerInternal, "the program zstd is missing on the server", e.Message));
        }
        finally
        {
            File.Delete(packed);
        }
    }

    /// <summary>Registers what came out as if somebody had described it.</summary>
    static (OsEnvironment?, Fault?) Describe(ImportBody body, OsEnvironment boot, string sha256, FileStore files, DateTimeOffset now, CancellationToken cancel)
    {
        var path = files.PathOf(sha256);
        var reading = Registration.ReadArchive(path, ImageCompression.Zstd, cancel);
        if (reading.Fault is { } broken)
            return (null, broken);
        if (reading.Tree.FindFile("/sbin/init") is null)
            return (null, Fault.Of(FaultCodes.ArchiveInvalid, "the image has no /sbin/init: a container's program alone does not boot a machine", "install systemd (or another init) and an ssh server in the image"));
        if (reading.Tree.FindFile(boot.Boot.Kernel) is { } kernel && kernel.StartsWith("/boot/vmlinuz-", StringComparison.Ordinal)
            && kernel["/boot/vmlinuz-".Length..] is var release && reading.Tree.FindFile($"/usr/lib/modules/{release}/modules.dep") is not null
            && reading.Tree.FindFile($"/lib/modules/{release}/modules.dep") is null)
            return (null, Fault.Of(FaultCodes.ArchiveInvalid, "the image keeps /lib apart from /usr/lib, so its system would not find the modules", "use an image with merged /usr"));
        (string, object)[] image = [("file", FileName), ("kind", "tar"), ("compression", "zstd")];
        (string, object)[] start =
        [
            ("kernel", boot.Boot.Kernel), .. boot.Boot.Initrd is { } initrd ? ((string, object)[])[("initrd", initrd)] : [],
            ("kernel_params", body.Params ?? string.Join(' ', boot.Boot.Params)),
        ];
        var text = YamlWriter.Write((ValueTuple<string, object>[])
        [
            ("name", body.Name), ("version", body.Version.ToString(CultureInfo.InvariantCulture)), ("description", body.Description), ("os", "linux"), ("image", image), ("boot", start),
        ]);
        var (description, errors) = DescriptionReader.Read("import", text);
        if (description is null)
            return (null, Fault.Of(FaultCodes.EnvironmentInvalid, errors[0].Message));
        var (environment, refused) = Registrar.Register(description with { Loader = boot.Boot.Loader }, ImmutableDictionary<string, string>.Empty.Add(FileName, sha256), files, now, cancel);
        return (environment, refused?.Fault);
    }
}
