namespace Ka.SystemTests.Deployments;

/// <summary>Bad input, from the command line to a real server: a clear error, the right status, and nothing changed.</summary>
[Collection("real machines")]
public sealed class Refusing(RealLab lab) : IDisposable
{
    readonly string _files = Directory.CreateTempSubdirectory("ka-refuse-").FullName;

    [Fact]
    public async Task Bad_requests_change_nothing()
    {
        await lab.ServeAsync("", deploySize: "1GiB");
        var before = await WorldAsync();
        await RefusedAsync("environment.unknown", 65, "deploy", "tinny", "-w", "node1", "--no-wait");
        await RefusedAsync("nodes.unknown", 65, "deploy", "tiny", "-w", "node[4-5]", "--no-wait");
        await RefusedAsync("nodes.too_many", 65, "deploy", "tiny", "-w", "node-[1-1000000000]", "--no-wait");
        await RefusedAsync("nodes.invalid", 65, "deploy", "tiny", "-w", "node[1-", "--no-wait");
        await RefusedAsync("nodes.empty", 2, "deploy", "tiny", "--no-wait");
        Assert.Contains("did you mean 'tiny'", (await lab.KaAsync("deploy", "tinny", "-w", "node1", "--no-wait")).Talk, StringComparison.Ordinal);
        Assert.Equal(before, await WorldAsync());
    }

    [Fact]
    public async Task Bad_environments_are_not_registered()
    {
        await lab.ServeAsync("", deploySize: "1GiB");
        var before = await WorldAsync();
        var good = await File.ReadAllTextAsync(Path.Combine(RealLab.Work, "tiny", "tiny.yaml"));
        var archive = Path.Combine(RealLab.Work, "tiny", "tiny.tar.zst");
        File.CreateSymbolicLink(Path.Combine(_files, "tiny.tar.zst"), archive);

        var unknownKey = await RefusedAsync("environment.invalid", 65, "env", "apply", "-f", Describe("key.yaml", good.Replace("version: 1", "versoin: 1", StringComparison.Ordinal)));
        Assert.Contains("key.yaml:2:1", unknownKey.Talk, StringComparison.Ordinal);
        Assert.Contains("did you mean 'version'", unknownKey.Talk, StringComparison.Ordinal);

        var bytes = await File.ReadAllBytesAsync(archive);
        await File.WriteAllBytesAsync(Path.Combine(_files, "cut.tar.zst"), bytes[..(bytes.Length / 2)]);
        await RefusedAsync("archive.truncated", 65, "env", "apply", "-f", Describe("cut.yaml", good.Replace("tiny.tar.zst", "cut.tar.zst", StringComparison.Ordinal)));

        await RefusedAsync(
            "archive.digest_mismatch", 65, "env", "apply", "-f",
            Describe("digest.yaml", good.Replace("  kind: tar", "  kind: tar\n  digest: sha256:" + new string('0', 64), StringComparison.Ordinal)));
        await RefusedAsync("archive.kernel_missing", 65, "env", "apply", "-f", Describe("kernel.yaml", good.Replace("/boot/vmlinuz", "/boot/vmlinux", StringComparison.Ordinal)));
        Assert.Equal(before, await WorldAsync());
    }

    [Fact]
    public async Task An_archive_larger_than_its_partition_is_not_deployed()
    {
        await lab.ServeAsync("", deploySize: "1GiB");
        Directory.CreateDirectory(Path.Combine(_files, "root", "boot"));
        await File.WriteAllTextAsync(Path.Combine(_files, "root", "boot", "vmlinuz"), "no kernel, but one of its name");
        await using (var big = File.Create(Path.Combine(_files, "root", "big")))
        {
            // Not all zeros: what packs much better than any system is refused as a bomb before.
            for (var mebibyte = 0; mebibyte < 1100; mebibyte++)
            {
                big.Position = (long)mebibyte << 20;
                await big.WriteAsync(System.Security.Cryptography.RandomNumberGenerator.GetBytes(16 << 10));
            }
            big.SetLength(1100L << 20);
        }
        await RealLab.MustAsync("tar", ["--zstd", "-C", Path.Combine(_files, "root"), "-c", "-f", Path.Combine(_files, "big.tar.zst"), "."]);
        await lab.MustKaAsync("env", "apply", "-f", Describe("big.yaml", "name: big\nos: linux\nimage: { file: big.tar.zst, kind: tar }\nboot: { kernel: /boot/vmlinuz }\n"));
        var before = await WorldAsync();
        await RefusedAsync("archive.too_large", 65, "deploy", "big", "-w", "node1", "--no-wait");
        Assert.Equal(before, await WorldAsync());
        await lab.MustKaAsync("env", "rm", "big:1");
    }

    string Describe(string name, string text)
    {
        var path = Path.Combine(_files, name);
        File.WriteAllText(path, text);
        return path;
    }

    async Task<Ended> RefusedAsync(string code, int status, params string[] command)
    {
        var ended = await lab.KaAsync(command);
        Assert.True(ended.Status == status && ended.Talk.Contains($"({code})", StringComparison.Ordinal), $"{code} expected: {ended}");
        return ended;
    }

    /// <summary>Everything a refusal must not touch.</summary>
    async Task<string> WorldAsync() =>
        (await lab.MustKaAsync("env", "ls", "-o", "json")).Output + (await lab.MustKaAsync("ops", "ls", "-o", "json")).Output + (await lab.MustKaAsync("nodes", "ls", "-o", "json")).Output;

    public void Dispose() => Directory.Delete(_files, recursive: true);
}
