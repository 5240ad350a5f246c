using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Engine.Workflows;
using Ka.Protocol.Agents;
using Ka.Server.Environments;

namespace Ka.Server.Workflows;

/// <summary>Where the images of a workflow go on one node, and the orders that prove and prepare what was written.</summary>
sealed class ImagePlaces(Workflow workflow, ClusterNode node)
{
    readonly ImmutableArray<ImagePart> _images = workflow.Environment.Images();

    public bool NothingIsWritten => _images.All(i => i.Image.Raw is null);

    /// <summary>Null for the archive of the root: that is unpacked into the mounted target.</summary>
    public ImagePlace? Of(int part)
    {
        var (partition, image) = _images[part];
        return image.Raw switch
        {
            null when partition is null => null,
            null => new ImagePlace(node.Disk, ImageLayouts.Written(workflow.Environment, node.Layout), partition, 0),
            { Target: RawTarget.Disk } raw => new ImagePlace(node.Disk, null, null, image.UnpackedBytes, raw.SectorBytes),
            _ => new ImagePlace(node.Disk, node.Layout, partition, image.UnpackedBytes),
        };
    }

    /// <summary>One order for each image that was written.</summary>
    public IEnumerable<AgentOrder> Proofs(FileStore files) =>
        from part in Enumerable.Range(0, _images.Length)
        let raw = _images[part].Image.Raw
        where raw is not null
        select new VerifyWritten(Of(part)!, Convert.ToBase64String(File.ReadAllBytes(files.PathOf(raw.BlockHashes))), workflow.Verify);

    /// <summary>The data of cloud-init for this node.</summary>
    public AgentOrder Seed() =>
        new SeedCloudInit(node.Disk, CloudInitSeed.Files(workflow.Id, node.Name, node.Mac, workflow.AuthorizedKeys), OnPartition: workflow.Environment.FileSystem == Core.Disks.FileSystemKind.None);
}
